//! Finds what is wrong with a JSON text, in one pass over its bytes.

use std::borrow::Cow;
use std::ops::Range;

use super::{JsonError, MAX_JSON_DEPTH, MAX_JSON_VALUES};

/// The replacement of half of a surrogate pair.
const NO_CHARACTER: &str = "\\ufffd";
/// Bytes of `\u` and four digits.
pub const ESCAPE_LENGTH: usize = 6;

/// The treatment of a half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halves {
    /// All are replaced.
    Replace,
    /// Those at the beginning and at the end of a string remain: the strings are pieces of a text,
    /// and their neighbors may hold the other halves.
    KeepAtEnds,
}

/// A part of the text to be replaced.
struct Edit {
    range: Range<usize>,
    by: Cow<'static, str>,
}

pub fn tidy(text: &str, halves: Halves) -> Result<Cow<'_, str>, JsonError> {
    let text = text.trim_start_matches('\u{feff}');
    let (edits, levels, members) = Default::default();
    let mut scanner = Scanner { text, halves, edits, levels, members };
    scanner.scan()?;
    let mut edits = scanner.edits;
    if edits.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    // The removal of a member replaces the edits inside it.
    edits.sort_by_key(|edit| (edit.range.start, std::cmp::Reverse(edit.range.end)));
    let mut tidied = String::with_capacity(text.len());
    let mut at = 0;
    for Edit { range, by } in edits {
        if range.start >= at {
            tidied.push_str(&text[at..range.start]);
            tidied.push_str(&by);
            at = range.end;
        }
    }
    tidied.push_str(&text[at..]);
    Ok(Cow::Owned(tidied))
}

struct Scanner<'a> {
    text: &'a str,
    halves: Halves,
    edits: Vec<Edit>,
    levels: Vec<Level<'a>>,
    /// The members so far of all objects in `levels`: the key and the range, with the comma after
    /// it. One list for all, since servers send thousands of small objects.
    members: Vec<(&'a str, Range<usize>)>,
}

enum Level<'a> {
    List,
    Object {
        /// Where its members begin.
        first: usize,
        /// The key of the current member, once it has been read, and its start.
        current: Option<(&'a str, usize)>,
    },
}

impl<'a> Scanner<'a> {
    fn scan(&mut self) -> Result<(), JsonError> {
        let bytes = self.text.as_bytes();
        let (mut at, mut values) = (0, 0);
        while let Some(byte) = bytes.get(at) {
            let start = at;
            at += 1;
            match byte {
                b'"' => {
                    at = self.string(start);
                    self.key(start..at);
                }
                b'[' => self.levels.push(Level::List),
                b'{' => {
                    self.levels.push(Level::Object { first: self.members.len(), current: None })
                }
                b',' => self.end_member(at),
                b']' | b'}' => {
                    self.end_member(at);
                    self.end_level();
                }
                b'N' | b'I' | b'-' => at = self.no_number(start),
                _ => {}
            }
            if matches!(byte, b'[' | b'{' | b',') {
                values += 1;
            }
            if values > MAX_JSON_VALUES {
                return Err(JsonError::TooManyValues);
            }
            if self.levels.len() > MAX_JSON_DEPTH {
                return Err(JsonError::TooDeep);
            }
        }
        Ok(())
    }

    /// Notes that a string is the key of a member, if it is one.
    fn key(&mut self, string: Range<usize>) {
        if let Some(Level::Object { current: current @ None, .. }) = self.levels.last_mut() {
            *current = Some((&self.text[string.clone()], string.start));
        }
    }

    /// Ends a member of the current object.
    fn end_member(&mut self, end: usize) {
        let Some(Level::Object { current, .. }) = self.levels.last_mut() else { return };
        let Some((key, start)) = current.take() else { return };
        self.members.push((key, start..end));
    }

    /// Ends a list or an object. Of members with the same key, all but the last are removed.
    fn end_level(&mut self) {
        let Some(Level::Object { first, .. }) = self.levels.pop() else { return };
        let members = &mut self.members[first..];
        members.sort_unstable_by_key(|(key, range)| (*key, range.start));
        for pair in members.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            self.edits.push(Edit { range: pair[0].1.clone(), by: Cow::Borrowed("") });
        }
        self.members.truncate(first);
    }

    /// Replaces `NaN` and infinities. Returns the end.
    fn no_number(&mut self, start: usize) -> usize {
        for word in ["NaN", "Infinity", "-Infinity", "-NaN"] {
            if self.text[start..].starts_with(word) {
                let range = start..start + word.len();
                self.edits.push(Edit { range: range.clone(), by: Cow::Borrowed("null") });
                return range.end;
            }
        }
        start + 1
    }

    /// Reads a string and replaces control characters and halves of pairs. Returns its end.
    fn string(&mut self, start: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = start + 1;
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => return at + 1,
                b'\\' => at = self.escape(at, at == start + 1),
                0..0x20 => {
                    let by = Cow::Owned(format!("\\u{byte:04x}"));
                    self.edits.push(Edit { range: at..at + 1, by });
                    at += 1;
                }
                _ => at += 1,
            }
        }
        bytes.len()
    }

    /// Reads the escape at `at`. Returns its end.
    fn escape(&mut self, at: usize, is_first: bool) -> usize {
        let end = at + ESCAPE_LENGTH;
        match unit(self.text, at) {
            Some(0xd800..0xdc00) => {
                if let Some(0xdc00..0xe000) = unit(self.text, end) {
                    return end + ESCAPE_LENGTH;
                }
                let is_last = self.text.as_bytes().get(end) == Some(&b'"');
                self.half(at..end, is_last);
                end
            }
            Some(0xdc00..0xe000) => {
                self.half(at..end, is_first);
                end
            }
            Some(_) => end,
            // Another escape, of an ASCII character if it is a valid one.
            None => at + 2,
        }
    }

    fn half(&mut self, range: Range<usize>, is_at_end: bool) {
        if self.halves == Halves::Replace || !is_at_end {
            self.edits.push(Edit { range, by: Cow::Borrowed(NO_CHARACTER) });
        }
    }
}

/// The code unit that the text at this position writes as `\uXXXX`.
pub fn unit(text: &str, at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE_LENGTH)?.strip_prefix("\\u")?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
}
