//! What it takes to compile patterns, bounded for all of them together.
//!
//! The engine bounds each piece of a pattern that it compiles by itself. It bounds neither how many
//! pieces there are, once look-around has cut a pattern up, nor how many patterns. Pieces of a pattern
//! that begins with look-ahead are even compiled without any bound. So each pattern is measured first,
//! in one piece.

use std::borrow::Cow;
use std::collections::HashSet;

use jsonschema::{PatternCache, PatternOptions, ValidationError, Validator};
use serde_json::{Value, json};

use super::LONGEST_COMPLAINT;
use crate::text::truncate;

/// Steps of one pattern with look-around on one text; all others take as many as the text is long.
const BACKTRACKS: usize = 10_000;
/// Bytes up to which texts that a pattern has met are remembered; beyond them it takes longer.
const MEMORY: usize = 64 << 10;
/// Bytes that a pattern is tried with, one after the other: what it needs is known no other way.
const SIZES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, LARGEST];
/// `^[^/]{1,255}/[^/]{1,255}$` needs more than half of it.
const LARGEST: usize = 1 << 20;
/// What each byte of a pattern counts besides: it may be a piece of its own, and takes time to be read.
const BYTE: usize = 1 << 10;
/// Bytes of all patterns together.
const ALL: usize = 32 << 20;
/// How often a pattern may refer back to its groups: the engine puts the group there once more, with
/// what it refers to, and so on.
const MOST_REFERENCES: usize = 4;
/// What looks around begins with.
const AROUND: [&str; 4] = ["(?=", "(?!", "(?<=", "(?<!"];
/// Letters that tell branches apart.
const FIRST_MARK: char = '\u{4e00}';

/// How patterns are compiled.
#[derive(Debug, Clone)]
pub struct Limits {
    bytes: usize,
    compiled: PatternCache,
}

impl Limits {
    /// Each piece may have so many bytes.
    pub fn of(bytes: usize) -> Self {
        Self { bytes, compiled: PatternCache::new() }
    }

    pub fn build(&self, schema: &Value) -> Result<Validator, ValidationError<'static>> {
        let options = PatternOptions::fancy_regex()
            .backtrack_limit(BACKTRACKS)
            .size_limit(self.bytes)
            .dfa_size_limit(MEMORY);
        jsonschema::options()
            .with_pattern_options(options)
            .with_pattern_cache(self.compiled.clone())
            // What some drafts only note and others check. A pattern says it for all of them.
            .should_validate_formats(false)
            .build(schema)
            .map_err(ValidationError::to_owned)
    }
}

/// What the patterns of one author may still take.
#[derive(Debug)]
pub struct Allowance {
    bytes: usize,
    known: HashSet<String>,
    limits: Limits,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { bytes: ALL, known: HashSet::new(), limits: Limits::of(LARGEST) }
    }
}

impl Allowance {
    /// How to compile a schema, once its patterns are paid for: what is known is compiled once.
    ///
    /// # Errors
    /// They are too many or too large, or cannot be bounded. The message is for people.
    pub fn limits(&mut self, schema: &Value) -> Result<Limits, String> {
        let mut patterns = Vec::new();
        collect(schema, &mut patterns);
        patterns.into_iter().try_for_each(|pattern| self.pay(pattern))?;
        Ok(self.limits.clone())
    }

    fn pay(&mut self, pattern: &str) -> Result<(), String> {
        if self.known.contains(pattern) {
            return Ok(());
        }
        let whole = in_one_piece(pattern)?;
        let tried = json!({"pattern": whole});
        let (mut spent, mut is_enough) = (0, false);
        for bytes in SIZES {
            let needed = bytes + BYTE * pattern.len();
            if is_enough || needed > self.bytes {
                break;
            }
            spent = needed;
            is_enough = Limits::of(bytes).build(&tried).is_ok();
        }
        // What was tried in vain took its time.
        self.bytes -= spent;
        // A whole one that is none, or too large, is found by whoever compiles it.
        let is_bounded = spent == LARGEST + BYTE * pattern.len() && whole == pattern;
        if !(is_enough || is_bounded) {
            let pattern = truncate(pattern.to_owned(), LONGEST_COMPLAINT);
            return Err(format!("it is no pattern, or too large with those before it: {pattern}"));
        }
        self.known.insert(pattern.to_owned());
        Ok(())
    }
}

/// All that may be a pattern, at places that may be part of a schema.
fn collect<'s>(value: &'s Value, found: &mut Vec<&'s str>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                match value {
                    Value::String(pattern) if key == "pattern" => found.push(pattern),
                    Value::Object(patterns) if key == "patternProperties" => {
                        found.extend(patterns.keys().map(String::as_str));
                    }
                    _ => {}
                }
                collect(value, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// A pattern that takes as much as all pieces of this one together, and is compiled as one.
///
/// # Errors
/// There is none. The message is for people.
fn in_one_piece(pattern: &str) -> Result<Cow<'_, str>, String> {
    // No part of it shall be at an edge, where the checker leaves out what need not be matched.
    let (mut whole, mut rest) = ("x(?:".to_owned(), pattern);
    let (mut references, mut is_cut, mut last, mut branches) = (0, false, ' ', FIRST_MARK..);
    while let Some(next) = rest.chars().next() {
        let escaped = rest.strip_prefix('\\').and_then(|rest| rest.chars().next());
        let around = AROUND.into_iter().find(|mark| rest.starts_with(mark));
        let taken = around.map_or(next.len_utf8() + escaped.map_or(0, char::len_utf8), str::len);
        let (part, after) = rest.split_at(taken);
        rest = after;
        is_cut |= around.is_some();
        match (part, escaped) {
            (_, Some('k' | '0'..='9')) => {
                references += 1;
                whole.push_str("(?:)");
            }
            // In what is cut up they are those of Unicode, and otherwise of ASCII.
            (_, Some('w')) => whole.push_str(r"\p{L}"),
            (_, Some('W')) => whole.push_str(r"\P{L}"),
            (_, Some('d')) => whole.push_str(r"\p{Nd}"),
            (_, Some('D')) => whole.push_str(r"\P{Nd}"),
            // Takes what was matched and gives nothing back: that cuts as well.
            ("+", _) if matches!(last, '*' | '+' | '?' | '}') => is_cut = true,
            // What branches have in common is not to be left out.
            ("|", _) => whole.extend(['|'].into_iter().chain(branches.next())),
            (part, _) => whole.push_str(around.map_or(part, |_| "(?:")),
        }
        last = if escaped.is_some() { ' ' } else { next };
        let flags = rest.strip_prefix('?').filter(|_| part == "(").unwrap_or_default();
        if flags.chars().take_while(|flag| flag.is_ascii_alphabetic()).any(|flag| flag == 'x') {
            return Err("no pattern of a JSON Schema has the flag x".to_owned());
        }
    }
    if references > MOST_REFERENCES {
        return Err(format!("a pattern refers to its groups more than {MOST_REFERENCES} times"));
    }
    whole.push_str(")x");
    let is_whole = !is_cut && references == 0;
    Ok(if is_whole { Cow::Borrowed(pattern) } else { Cow::Owned(whole) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn admitted(allowance: &mut Allowance, pattern: &str) -> bool {
        let schema = json!({"pattern": pattern});
        let limits = allowance.limits(&schema);
        limits.is_ok_and(|limits| limits.build(&schema).is_ok())
    }

    #[test]
    fn what_servers_write_is_accepted() {
        let mut allowance = Allowance::default();
        for pattern in [
            r"^\p{L}[\p{L}\p{N} '-]*$",
            r"^[^/]{1,255}/[^/]{1,255}$",
            r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
            r"^(?!\.)(?!.*\.\.)([\w'+.-]*)[\w+-]@([A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,}$",
            r"^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]{2,63}$",
            r"^(?=.*[A-Z])(?=.*\d)(?=.*[^\w\s])\S{8,64}$",
            r#"^(['"]).*\1$"#,
            r"^\(?\d{3}\)?[ -]?\d{4}$",
            r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?)$",
        ] {
            assert!(admitted(&mut allowance, pattern), "{pattern}");
        }
        // What is known costs nothing.
        let left = allowance.bytes;
        assert!(admitted(&mut allowance, r"^[^/]{1,255}/[^/]{1,255}$"));
        assert_eq!(allowance.bytes, left);
        assert!(left > ALL / 2, "{left}");
        // What need not be matched is compiled all the same.
        assert!(admitted(&mut allowance, "(?=.{0,300}q)x"));
        assert!(left - allowance.bytes > 100 << 10, "{left} - {}", allowance.bytes);
    }

    #[test]
    fn what_multiplies_is_refused() {
        let ahead = |mark| format!(r"(?={mark}((\w{{50}}){{50}}){{5}}{mark})");
        let aheads =
            |from: u8, to| (from..=to).map(|mark| ahead(char::from(mark))).collect::<String>();
        let branches: String = (0..1000).map(|at| format!("|x{at}.{{90}}")).collect();
        let ending: String = (0..1000).map(|at| format!("|x{at}.{{0,90}}")).collect();
        let beginning: String = (0..1000).map(|at| format!("|.{{0,90}}x{at}")).collect();
        let alike: String = (0..200).map(|at| format!(r"|\w\w\wx{at}")).collect();
        let doubled = |call: &str| -> String {
            (1..12)
                .map(|at| format!("({})", call.replace('#', &at.to_string()).repeat(2)))
                .collect()
        };
        for pattern in [
            format!("^{}$", aheads(b'x', b'z')),
            format!("^{}$", aheads(b'A', b'z')),
            format!("(?:(?=q){branches})"),
            format!("(?:q++{branches})"),
            format!(r"(?:\w\w\w(?=q){alike})"),
            format!("(?:(?=q){ending})"),
            format!("(?:(?=q){beginning})"),
            format!("(?x)(?:q+ +{branches})"),
            format!("(?=a)(a){}", doubled(r"\g<#>")),
            format!("(?=a)(a){}", doubled(r"(?P>#)")),
            format!("(?i)(?=a)(){}", doubled(r"\#")),
            r"^((\w{60}){60}){60}$".to_owned(),
        ] {
            assert!(!admitted(&mut Allowance::default(), &pattern), "{pattern:.60}");
            // A reference makes a schema of what is at no place for one.
            let hidden = json!({"$ref": "#/x", "x": {"pattern": pattern}});
            let limits = Allowance::default().limits(&hidden);
            assert!(limits.is_err() || limits.unwrap().build(&hidden).is_err(), "{pattern:.60}");
        }
    }
}
