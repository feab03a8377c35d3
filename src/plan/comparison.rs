//! Finds comparisons of a model's free text with a fixed one: models vary their words.

use super::elements::{Place, element_attributes};
use crate::template::{Token, after_bracket, name_at, tokens};

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
const TESTS: [&str; 6] = ["!=", "==", "eq", "equalto", "ne", "sameas"];
/// Words before a parenthesis that do not make it the one of a call.
const KEYWORDS: [&str; 7] = ["and", "else", "if", "in", "is", "not", "or"];

/// The first `output` of an agent or of its instances that an expression compares, as written, and
/// the sign or test it is compared with. `is_free_text` takes an agent, and whether the output is
/// the one of an instance.
pub fn compared_text(
    source: &str,
    is_free_text: impl Fn(&str, bool) -> bool,
) -> Option<(&str, &str)> {
    let tokens = tokens(source);
    let comparison = Comparison { tokens: &tokens };
    let of_agent = (0..tokens.len()).find_map(|start| {
        let name = name_at(source, &tokens, start)?;
        let ["agents", agent, "output"] = name.parts[..] else { return None };
        let sign = comparison.sign(start, start + name.length)?;
        is_free_text(agent, false).then_some((name.source, sign))
    });
    let of_instance = || {
        element_attributes(source, &tokens).into_iter().find_map(|attribute| {
            let ["agents", agent, "items"] = attribute.list.parts[..] else { return None };
            let ["output"] = attribute.parts[..] else { return None };
            let sign = match attribute.place {
                Place::Indexed { start, end } => comparison.sign(start, end)?,
                Place::Loop => return None,
                Place::Filter { test } => test.filter(|test| TESTS.contains(test))?,
            };
            is_free_text(agent, true).then_some((attribute.source, sign))
        })
    };
    of_agent.or_else(of_instance)
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
                        end = after_bracket(self.tokens, end);
                    }
                }
                "|" => return None,
                "[" => end = after_bracket(self.tokens, end),
                _ => return Some(end),
            }
        }
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
        let sign = |source: &'static str| compared_text(source, |_, _| true).map(|(_, sign)| sign);
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
        for (source, expected) in [
            ("agents.x.items[0].output == 'a'", "=="),
            ("'a' != (agents['x'].items[-1]['output'] | trim)", "!="),
            ("agents.x.items | selectattr('output', 'equalto', 'a') | list", "equalto"),
            ("(agents.x.items | sort(attribute='key') | rejectattr('output', '==', 'a'))", "=="),
        ] {
            assert_eq!(sign(source), Some(expected), "{source}");
        }
        for source in [
            "agents.x.items | selectattr('output') | list",
            "agents.x.items | selectattr('status', 'equalto', 'failed') | list",
            "agents.x.items | map(attribute='output') | first",
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
