//! Finds comparisons of a model's free text with a fixed one: models vary their words.

use crate::template::{Token, name_at, tokens};

/// Filters that change a text and leave it one.
const TEXT_FILTERS: [&str; 13] = [
    "capitalize",
    "d",
    "default",
    "e",
    "escape",
    "first",
    "last",
    "lower",
    "replace",
    "safe",
    "string",
    "trim",
    "upper",
];
const TESTS: [&str; 4] = ["eq", "equalto", "ne", "sameas"];
/// Words before a parenthesis that do not make it the one of a call.
const KEYWORDS: [&str; 7] = ["and", "else", "if", "in", "is", "not", "or"];

/// The first `agents.NAME.output` that an expression compares, as written, and the sign or test it
/// is compared with. Only agents with `is_free_text` count.
pub fn compared_text(source: &str, is_free_text: impl Fn(&str) -> bool) -> Option<(&str, &str)> {
    let tokens = tokens(source);
    (0..tokens.len()).find_map(|start| {
        let name = name_at(source, &tokens, start)?;
        let ["agents", agent, "output"] = name.parts[..] else { return None };
        let sign = Comparison { tokens: &tokens }.sign(start, start + name.length)?;
        is_free_text(agent).then_some((name.source, sign))
    })
}

struct Comparison<'t, 's> {
    tokens: &'t [Token<'s>],
}

impl<'s> Comparison<'_, 's> {
    fn at(&self, at: usize) -> &'s str {
        self.tokens.get(at).map_or("", |token| token.text)
    }

    fn before(&self, at: usize) -> &'s str {
        at.checked_sub(1).map_or("", |before| self.at(before))
    }

    /// The sign that compares the text between these tokens, whatever parentheses and filters are
    /// around it.
    fn sign(&self, mut start: usize, mut end: usize) -> Option<&'s str> {
        loop {
            end = self.after_changes(end)?;
            let mut signs = [self.at(end), self.before(start)].into_iter();
            if let Some(sign) = signs.find(|sign| matches!(*sign, "==" | "!=")) {
                return Some(sign);
            }
            if self.at(end) == "is" {
                let test = end + if self.at(end + 1) == "not" { 2 } else { 1 };
                return Some(self.at(test)).filter(|test| TESTS.contains(test));
            }
            if self.before(start) != "(" || self.at(end) != ")" || self.is_call(start - 1) {
                return None;
            }
            (start, end) = (start - 1, end + 1);
        }
    }

    /// Where a text ends after its filters and indices; `None` if it is no longer a text.
    fn after_changes(&self, mut end: usize) -> Option<usize> {
        loop {
            match self.at(end) {
                "|" if TEXT_FILTERS.contains(&self.at(end + 1)) => {
                    end += 2;
                    if self.at(end) == "(" {
                        end = self.after_bracket(end);
                    }
                }
                "|" => return None,
                "[" => end = self.after_bracket(end),
                _ => return Some(end),
            }
        }
    }

    /// The token after the bracket that closes the one at `open`.
    fn after_bracket(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        let closes = |token: &Token<'_>| {
            match token.text {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        };
        let rest = self.tokens.get(open..).unwrap_or_default();
        open + rest.iter().position(closes).map_or(rest.len(), |close| close + 1)
    }

    /// Whether the parenthesis at `open` belongs to a call, a filter or a test.
    fn is_call(&self, open: usize) -> bool {
        let before = self.before(open);
        let ends_a_value = |c: char| c.is_alphanumeric() || matches!(c, '_' | ')' | ']');
        before.ends_with(ends_a_value) && !KEYWORDS.contains(&before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_is_found_in_every_form() {
        let sign = |source: &'static str| compared_text(source, |_| true).map(|(_, sign)| sign);
        for source in [
            "agents.x.output == 'a'",
            "'a' == agents['x'].output",
            "(agents.x.output) == 'a'",
            "'a' == ((agents.x['output'] | trim))",
            "agents.x.output | trim == 'a'",
            "agents.x.output|replace(')', '')|lower=='a'",
            "(agents.x.output | trim)[:3] == 'a'",
            "not (agents.x.output == 'a')",
            "true and (agents.x.output) == 'a'",
        ] {
            assert_eq!(sign(source), Some("=="), "{source}");
        }
        assert_eq!(sign("vars.a == 1 and agents.x.output != 'a'"), Some("!="));
        assert_eq!(sign("agents.x.output is not eq('a')"), Some("eq"));
        for source in [
            "'yes' in agents.x.output",
            "agents.x.output | length == 0",
            "0 == agents.x.output | length",
            "(agents.x.output | length) == 0",
            "agents.x.output and vars.a == 1",
            "'agents.x.output == 1'",
            "agents.x.status == 'failed'",
            "vars.f(agents.x.output) == 1",
            "agents.x.output is defined",
            "agents.x.output",
        ] {
            assert_eq!(sign(source), None, "{source}");
        }
    }
}
