//! Tool calls put together from their fragments.
//!
//! OpenAI's protocol numbers the calls of a turn and gives id and name with the first fragment of
//! each. Servers leave out the number, number every call 0, leave out ids, or repeat id and name
//! with every fragment; which call a fragment belongs to is decided here, in one place.

use std::collections::HashSet;

use crate::chat::ToolCall;

/// Tool calls in one turn; no honest answer has more.
pub const MAX_CALLS: usize = 128;

/// One fragment; what the server left out is empty.
#[derive(Debug, Clone, Copy, Default)]
pub struct Piece<'a> {
    pub index: Option<u64>,
    pub id: &'a str,
    pub name: &'a str,
    pub arguments: &'a str,
}

#[derive(Debug, Default)]
pub struct Calls(Vec<Partial>);

#[derive(Debug, Default)]
struct Partial {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    end: JsonEnd,
}

/// More than [`MAX_CALLS`].
#[derive(Debug)]
pub struct TooMany;

impl Calls {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a fragment; returns how many bytes of it were kept.
    pub fn add(&mut self, piece: Piece<'_>) -> Result<usize, TooMany> {
        if piece.id.is_empty() && piece.name.is_empty() && piece.arguments.is_empty() {
            return Ok(0);
        }
        let at = match self.find(piece) {
            Some(at) => at,
            None if self.0.len() == MAX_CALLS => return Err(TooMany),
            None => {
                self.0.push(Partial { index: piece.index, ..Partial::default() });
                self.0.len() - 1
            }
        };
        Ok(self.0[at].add(piece))
    }

    /// The call that the fragment goes on with; `None` if it starts one.
    fn find(&self, piece: Piece<'_>) -> Option<usize> {
        let fits = |call: &&Partial| piece.index.is_none() || call.index == piece.index;
        let same_id = |call: &&Partial| !piece.id.is_empty() && call.id == piece.id && fits(call);
        let calls = || self.0.iter().enumerate().rev();
        let (at, call) = calls()
            .find(|(_, call)| same_id(call))
            .or_else(|| calls().find(|(_, call)| fits(call)))?;
        call.goes_on_with(piece).then_some(at)
    }

    /// The whole calls, in the order they were begun.
    pub fn into_calls(self) -> Vec<ToolCall> {
        let mut ids = HashSet::new();
        let mut whole = Vec::with_capacity(self.0.len());
        for (at, call) in self.0.into_iter().enumerate() {
            let mut id = call.id;
            // Results are matched to calls by id, so each needs its own.
            if id.is_empty() {
                id = format!("call_{}", at + 1);
            }
            while !ids.insert(id.clone()) {
                id = format!("{id}_{}", at + 1);
            }
            let arguments = match call.arguments.trim() {
                "" | "null" => "{}".to_owned(),
                _ => call.arguments,
            };
            whole.push(ToolCall { id, name: call.name, arguments });
        }
        whole
    }
}

impl Partial {
    fn goes_on_with(&self, piece: Piece<'_>) -> bool {
        // A call always starts with its name.
        if piece.name.is_empty() {
            return true;
        }
        let another_id = !piece.id.is_empty() && !self.id.is_empty() && piece.id != self.id;
        let after_the_end = self.end.reached && !piece.arguments.trim().is_empty();
        // A name comes in fragments only where an index holds them together.
        let another_name = piece.name != self.name
            && !self.name.is_empty()
            && (!self.arguments.is_empty() || piece.index.is_none());
        !another_id && !after_the_end && !another_name
    }

    fn add(&mut self, piece: Piece<'_>) -> usize {
        let before = self.id.len() + self.name.len() + self.arguments.len();
        if self.id.is_empty() {
            self.id.push_str(piece.id);
        }
        if self.name != piece.name {
            self.name.push_str(piece.name);
        }
        self.arguments.push_str(piece.arguments);
        self.end.read(piece.arguments);
        self.id.len() + self.name.len() + self.arguments.len() - before
    }
}

/// Sees when a JSON object is complete, reading every byte once.
#[derive(Debug, Default)]
struct JsonEnd {
    depth: usize,
    in_string: bool,
    escaped: bool,
    reached: bool,
}

impl JsonEnd {
    fn read(&mut self, text: &str) {
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
            assert!(calls.add(Piece { index, id, name, arguments }).is_ok());
        }
        calls.into_calls().into_iter().map(|call| (call.id, call.name, call.arguments)).collect()
    }

    #[test]
    fn fragments() {
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
        let mut add =
            |index| calls.add(Piece { index: Some(index), name: "df", ..Piece::default() });
        assert!((0..MAX_CALLS as u64).all(|index| add(index).is_ok()));
        assert!(add(u64::MAX).is_err());
        assert!(add(0).is_ok());
    }
}
