//! Names of filters and tests that do not exist.
//!
//! The engine looks such a name up only when a rendering reaches it, and the rendering that tries a
//! template out does not reach every branch.

use minijinja::ErrorKind;

use super::engine::ENVIRONMENT;
use super::scan::{PieceKind, live};
use super::tokens::{Token, tokens, unquoted};

/// The names of the filters, for advice.
const FILTERS: [&str; 48] = [
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
    "zip",
];
/// The names of the tests, for advice.
const TESTS: [&str; 33] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];
/// Words before `is` that make it a name.
const KEYWORDS: [&str; 10] = ["and", "elif", "else", "for", "if", "in", "not", "or", "set", "with"];

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callee {
    Filter,
    Test,
}

impl Callee {
    pub fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Test => "test",
        }
    }

    /// The names that exist.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Filter => &FILTERS,
            Self::Test => &TESTS,
        }
    }

    fn exists(self, name: &str) -> bool {
        let mut state = ENVIRONMENT.empty_state();
        // Without arguments, most of them fail. Only the kind of the error matters.
        match self {
            Self::Filter => !matches!(state.apply_filter(name, &[]),
                Err(error) if error.kind() == ErrorKind::UnknownFilter),
            Self::Test => !matches!(state.perform_test(name, &[]),
                Err(error) if error.kind() == ErrorKind::UnknownTest),
        }
    }
}

/// The filters and tests in a template that do not exist, each once.
pub fn unknown_callees(source: &str) -> Vec<(Callee, &str)> {
    let mut unknown = Vec::new();
    for piece in live(source) {
        let tokens = tokens(piece.code());
        let trimmed = tokens.first().is_some_and(|sign| matches!(sign.text, "-" | "+"));
        let first = usize::from(trimmed);
        let block = (piece.kind == PieceKind::Statement && text(&tokens, first) == "filter")
            .then(|| named(&tokens, Callee::Filter, first + 1));
        let called = (0..tokens.len()).flat_map(|at| called_at(&tokens, at));
        for (callee, name) in block.flatten().into_iter().chain(called) {
            if !unknown.contains(&(callee, name)) && !callee.exists(name) {
                unknown.push((callee, name));
            }
        }
    }
    unknown
}

fn text<'s>(tokens: &[Token<'s>], at: usize) -> &'s str {
    tokens.get(at).map_or("", |token| token.text)
}

/// What the sign or word at this token calls.
fn called_at<'s>(tokens: &[Token<'s>], at: usize) -> Vec<(Callee, &'s str)> {
    let found = match text(tokens, at) {
        "|" => [named(tokens, Callee::Filter, at + 1), argument(tokens, at + 1)],
        "is" if at > 0 && ends_value(tokens[at - 1].text) => {
            let name = at + if text(tokens, at + 1) == "not" { 2 } else { 1 };
            [named(tokens, Callee::Test, name), None]
        }
        _ => [None, None],
    };
    found.into_iter().flatten().collect()
}

fn ends_value(token: &str) -> bool {
    let ends = |c: char| c.is_alphanumeric() || matches!(c, '_' | ')' | ']' | '}' | '"' | '\'');
    token.ends_with(ends) && !KEYWORDS.contains(&token)
}

/// The name at this token. Names with dots are left to the rendering.
fn named<'s>(tokens: &[Token<'s>], callee: Callee, at: usize) -> Option<(Callee, &'s str)> {
    let name = text(tokens, at);
    let begins = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    (begins && text(tokens, at + 1) != ".").then_some((callee, name))
}

/// The filter or test that is an argument of the filter at this token, as a text.
fn argument<'s>(tokens: &[Token<'s>], filter: usize) -> Option<(Callee, &'s str)> {
    let (callee, at) = match text(tokens, filter) {
        "map" => (Callee::Filter, filter + 2),
        "select" | "reject" => (Callee::Test, filter + 2),
        "selectattr" | "rejectattr" if text(tokens, filter + 3) == "," => {
            (Callee::Test, filter + 4)
        }
        _ => return None,
    };
    let is_whole = text(tokens, filter + 1) == "(" && matches!(text(tokens, at + 1), "," | ")");
    let name = unquoted(text(tokens, at))?;
    is_whole.then_some((callee, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_filters_and_tests_are_found_wherever_they_stand() {
        for (source, expected) in [
            ("{{ x | lenght > 1 }}", vec!["lenght"]),
            ("{{ x|trim|uper }}", vec!["uper"]),
            ("{{ x is nope or x is not nope }}", vec!["nope"]),
            ("{% if x is defind %}{{ y | triim }}{% endif %}", vec!["defind", "triim"]),
            ("{%- for a in b | srot -%}{{ a }}{% endfor %}", vec!["srot"]),
            ("{% filter uper %}x{% endfilter %}", vec!["uper"]),
            ("{% set a | uper %}x{% endset %}", vec!["uper"]),
            ("{{ x | map('uper') | join }}", vec!["uper"]),
            ("{{ x | select(\"od\") | list }}", vec!["od"]),
            (
                "{{ x | rejectattr('a', 'equalsto', 1) | selectattr('b','oddd') }}",
                vec!["equalsto", "oddd"],
            ),
            ("{{ x | map(attribute='uper') | selectattr('uper') | select('==', 1) }}", vec![]),
            ("{{ x | select(y ~ 'no') | map('up' ~ 'per') }}", vec![]),
            ("{{ 'a | nope' }} a | nope {# a | nope #}", vec![]),
            ("{% raw %}{{ x | nope }}{% if y is nope %}{% endraw %}{{ x | trim }}", vec![]),
            ("{%- raw -%}{{ x | nope }}{%- endraw -%}{{ x | noope }}", vec!["noope"]),
            ("{{ x.is }} {{ {'is': 1} }} {% for is in x %}{{ is }}{% endfor %}", vec![]),
            ("{{ x is in [1] }} {{ x is not divisibleby 3 }}", vec![]),
        ] {
            let found: Vec<&str> = unknown_callees(source).into_iter().map(|(_, n)| n).collect();
            assert_eq!(found, expected, "{source}");
        }
    }

    #[test]
    fn the_names_for_advice_exist() {
        for callee in [Callee::Filter, Callee::Test] {
            for name in callee.names() {
                assert!(callee.exists(name), "{name}");
            }
        }
    }
}
