//! Tool calls assembled from their fragments.
//!
//! OpenAI's API numbers the calls of a turn and sends id and name with the first fragment of each.
//! Servers leave out the number, number every call 0, leave out ids, or repeat id and name in every
//! fragment. This file decides which call a fragment belongs to.

use std::collections::HashSet;

use crate::chat::ToolCall;
use crate::text::json::{Joiner, Piece};

/// The limit of tool calls in one turn. Models make far fewer.
pub const MAX_CALLS: usize = 128;

/// One fragment. A field that the server left out is empty.
#[derive(Debug, Clone, Default)]
pub struct CallFragment<'a> {
    pub index: Option<u64>,
    pub id: &'a str,
    pub name: &'a str,
    pub arguments: Piece<'a>,
}

#[derive(Debug, Default)]
pub struct Calls(Vec<PartialCall>);

#[derive(Debug, Default)]
struct PartialCall {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    joiner: Joiner,
    end: JsonEnd,
}

/// A turn exceeds [`MAX_CALLS`].
#[derive(Debug)]
pub struct TooManyCalls;

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a fragment. Returns how many bytes of it were kept.
    pub fn add(&mut self, fragment: CallFragment<'_>) -> Result<usize, TooManyCalls> {
        if fragment.id.is_empty() && fragment.name.is_empty() && fragment.arguments.is_empty() {
            return Ok(0);
        }
        let at = match self.find(&fragment) {
            Some(at) => at,
            None if self.0.len() == MAX_CALLS => return Err(TooManyCalls),
            None => {
                self.0.push(PartialCall { index: fragment.index, ..PartialCall::default() });
                self.0.len() - 1
            }
        };
        Ok(self.0[at].add(fragment))
    }

    /// The position of the call that the fragment continues; `None` if it starts one.
    fn find(&self, fragment: &CallFragment<'_>) -> Option<usize> {
        let fits = |call: &&PartialCall| fragment.index.is_none() || call.index == fragment.index;
        let same_id =
            |call: &&PartialCall| !fragment.id.is_empty() && call.id == fragment.id && fits(call);
        let calls = || self.0.iter().enumerate().rev();
        let (at, call) = calls()
            .find(|(_, call)| same_id(call))
            .or_else(|| calls().find(|(_, call)| fits(call)))?;
        call.continues_with(fragment).then_some(at)
    }

    /// The calls, in the order in which they began. `is_cut`: a limit ended the answer, perhaps
    /// inside the last call.
    pub fn into_calls(self, is_cut: bool) -> Vec<ToolCall> {
        let mut ids = HashSet::new();
        let mut calls = Vec::with_capacity(self.0.len());
        let last = self.0.len().saturating_sub(1);
        for (at, call) in self.0.into_iter().enumerate() {
            let mut id = call.id;
            // Results are matched to calls by id, so each call needs its own.
            if id.is_empty() {
                id = format!("call_{}", at + 1);
            }
            while !ids.insert(id.clone()) {
                id = format!("{id}_{}", at + 1);
            }
            let is_cut = is_cut && at == last && !call.end.reached;
            let arguments = match call.arguments.trim() {
                // Not what the model meant to write.
                _ if is_cut => call.arguments,
                "" | "null" => "{}".to_owned(),
                _ => call.arguments,
            };
            calls.push(ToolCall { id, name: call.name, arguments });
        }
        calls
    }
}

impl PartialCall {
    fn continues_with(&self, fragment: &CallFragment<'_>) -> bool {
        // Every call starts with its name.
        if fragment.name.is_empty() {
            return true;
        }
        let another_id = !fragment.id.is_empty() && !self.id.is_empty() && fragment.id != self.id;
        let after_the_end = self.end.reached && !fragment.arguments.is_blank();
        // A name comes in fragments only where an index connects them.
        let another_name = fragment.name != self.name
            && !self.name.is_empty()
            && (!self.arguments.is_empty() || fragment.index.is_none());
        !another_id && !after_the_end && !another_name
    }

    fn add(&mut self, fragment: CallFragment<'_>) -> usize {
        let before = self.id.len() + self.name.len() + self.arguments.len();
        if self.id.is_empty() {
            self.id.push_str(fragment.id);
        }
        if self.name != fragment.name {
            self.name.push_str(fragment.name);
        }
        let arguments = self.joiner.join(fragment.arguments);
        self.arguments.push_str(&arguments);
        self.end.push(&arguments);
        self.id.len() + self.name.len() + self.arguments.len() - before
    }
}

/// Finds the end of a JSON object, reading every byte once as it arrives.
#[derive(Debug, Default)]
struct JsonEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
    reached: bool,
}

impl JsonEnd {
    fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.reached |= self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (Option<u64>, &'a str, &'a str, &'a str);

    fn assemble(pieces: &[Row<'_>]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for &(index, id, name, arguments) in pieces {
            assert!(
                calls.add(CallFragment { index, id, name, arguments: arguments.into() }).is_ok()
            );
        }
        calls
            .into_calls(false)
            .into_iter()
            .map(|call| (call.id, call.name, call.arguments))
            .collect()
    }

    #[test]
    fn every_way_to_send_fragments() {
        type Case<'a> = (&'a str, &'a [Row<'a>], &'a [(&'a str, &'a str, &'a str)]);
        let cases: &[Case<'_>] = &[
            (
                "as the protocol says",
                &[
                    (Some(0), "a", "df", ""),
                    (Some(0), "", "", "{\"p\":"),
                    (Some(1), "b", "ps", ""),
                    (Some(0), "", "", "1}"),
                    (Some(1), "", "", "{}"),
                ],
                &[("a", "df", "{\"p\":1}"), ("b", "ps", "{}")],
            ),
            (
                "id and name with every fragment",
                &[
                    (Some(0), "a", "df", "{\"p"),
                    (Some(0), "a", "df", "\":1"),
                    (Some(0), "a", "df", "}"),
                ],
                &[("a", "df", "{\"p\":1}")],
            ),
            (
                "another id with every fragment",
                &[(Some(0), "a", "df", "{"), (Some(0), "b", "", "}")],
                &[("a", "df", "{}")],
            ),
            (
                "index 0 for all, distinct ids",
                &[
                    (Some(0), "a", "df", "{}"),
                    (Some(0), "b", "df", "{}"),
                    (Some(0), "c", "ps", "{}"),
                ],
                &[("a", "df", "{}"), ("b", "df", "{}"), ("c", "ps", "{}")],
            ),
            (
                "index 0 for all, no ids, sent whole",
                &[(Some(0), "", "df", "{}"), (Some(0), "", "df", "{}"), (Some(0), "", "ps", "{}")],
                &[("call_1", "df", "{}"), ("call_2", "df", "{}"), ("call_3", "ps", "{}")],
            ),
            (
                "no index, ids",
                &[
                    (None, "a", "df", "{"),
                    (None, "b", "ps", "{"),
                    (None, "a", "", "}"),
                    (None, "b", "", "}"),
                ],
                &[("a", "df", "{}"), ("b", "ps", "{}")],
            ),
            (
                "no index, no ids",
                &[
                    (None, "", "df", ""),
                    (None, "", "", "{}"),
                    (None, "", "ps", ""),
                    (None, "", "", "{}"),
                ],
                &[("call_1", "df", "{}"), ("call_2", "ps", "{}")],
            ),
            (
                "a name in fragments",
                &[(Some(0), "a", "disk_", ""), (Some(0), "", "usage", ""), (Some(0), "", "", "{}")],
                &[("a", "disk_usage", "{}")],
            ),
            (
                "ids used twice",
                &[
                    (Some(0), "a", "df", "{}"),
                    (Some(1), "a", "ps", "{}"),
                    (Some(2), "", "ps", "{}"),
                ],
                &[("a", "df", "{}"), ("a_2", "ps", "{}"), ("call_3", "ps", "{}")],
            ),
            (
                "no arguments",
                &[(Some(0), "a", "df", ""), (Some(1), "b", "ps", "null")],
                &[("a", "df", "{}"), ("b", "ps", "{}")],
            ),
            ("nothing at all", &[(Some(0), "", "", "")], &[]),
            ("no name", &[(Some(0), "a", "", "{}")], &[("a", "", "{}")]),
            (
                "braces in a string",
                &[(Some(0), "", "df", "{\"p\":\"}"), (Some(0), "", "df", "{\\\"\"}")],
                &[("call_1", "df", "{\"p\":\"}{\\\"\"}")],
            ),
        ];
        for (name, pieces, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(id, name, arguments)| {
                    ((*id).to_owned(), (*name).to_owned(), (*arguments).to_owned())
                })
                .collect();
            assert_eq!(assemble(pieces), expected, "{name}");
        }
    }

    #[test]
    fn the_number_of_calls_is_bounded() {
        let mut calls = Calls::default();
        let mut add = |index| {
            calls.add(CallFragment { index: Some(index), name: "df", ..CallFragment::default() })
        };
        assert!((0..MAX_CALLS as u64).all(|index| add(index).is_ok()));
        assert!(add(u64::MAX).is_err());
        assert!(add(0).is_ok());
    }
}
