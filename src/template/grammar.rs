//! What a template may consist of: enough to say things, too little to run away.
//!
//! The engine counts steps and bytes. It counts neither what one step does with a list that holds
//! the same list twice, forty levels deep, nor how deep it recurses itself while it reads and drops
//! what it was given: a line of a file could keep crew busy for years, or overflow its stack. So a
//! template can take values apart, but builds no lists or mappings of them, and is in pieces of
//! bounded length. The check goes through the tokens one by one and recurses nowhere.

use minijinja::machinery::{Token, tokenize};

/// Words and signs between one pair of braces: what is in them nests no deeper.
const MOST_TOKENS: usize = 128;
/// Pairs of braces: an `elif` is inside the one before it.
const MOST_BLOCKS: usize = 2000;
/// Pairs of braces by bytes: after each the engine may look through all the rest for the next.
const MOST_WORK: usize = 64 << 20;
const MOST_ELIFS: usize = 100;

/// What goes beyond it; `Ok` also for what is no template at all, which the engine explains better.
pub fn check(source: &str) -> Result<(), String> {
    // Also those that the tokens do not show: looking for the end of a raw block takes time.
    let blocks = ["{{", "{%"].iter().map(|open| source.matches(open).count()).sum::<usize>();
    if blocks > MOST_BLOCKS || blocks * source.len() > MOST_WORK {
        return Err(format!("{blocks} times {{{{ or {{% is more than a text so long can have"));
    }
    let mut elifs = 0;
    let mut block = Vec::new();
    for token in tokenize(source, false, Default::default()) {
        let Ok((token, _)) = token else { return Ok(()) };
        match token {
            Token::TemplateData(_) => {}
            Token::VariableStart | Token::BlockStart => block.clear(),
            Token::VariableEnd | Token::BlockEnd => {
                Block::default().check(&block)?;
                elifs += usize::from(word(block.first()) == "elif");
            }
            token => block.push(token),
        }
        if block.len() > MOST_TOKENS {
            return Err(format!("more than {MOST_TOKENS} words and signs between two braces"));
        }
        if elifs > MOST_ELIFS {
            return Err(format!("more than {MOST_ELIFS} times elif"));
        }
    }
    Ok(())
}

/// What a bracket that is still open is for.
#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    /// After a value: its items, or a call's arguments.
    Access,
    Group,
    /// A list whose items are taken one by one.
    Items,
    /// Only what is written there itself, no names.
    Constants,
}

#[derive(Default)]
struct Block {
    open: Vec<Bracket>,
    /// The word `in` of a loop has come.
    seen_in: bool,
}

impl Block {
    fn check(mut self, tokens: &[Token<'_>]) -> Result<(), String> {
        let first = word(tokens.first());
        for (at, token) in tokens.iter().enumerate() {
            let (before, after) = (at.checked_sub(1).map(|at| &tokens[at]), tokens.get(at + 1));
            match token {
                Token::BraceOpen => return Err("a mapping is written inside it".to_owned()),
                Token::Mul => return Err("* repeats texts and lists".to_owned()),
                Token::Plus if !is_number(tokens, at) => {
                    return Err("+ is for numbers written out, ~ joins texts".to_owned());
                }
                Token::BracketOpen => self.open.push(match before {
                    before if is_value(before) => Bracket::Access,
                    before if word(before) == "in" => Bracket::Items,
                    _ => Bracket::Constants,
                }),
                Token::ParenOpen => self.open.push(match before {
                    // It would put its arguments into every item.
                    before if word(before) == "map" => Bracket::Constants,
                    before if is_value(before) => Bracket::Access,
                    _ => Bracket::Group,
                }),
                Token::BracketClose | Token::ParenClose => drop(self.open.pop()),
                Token::Comma if self.makes_list(first) => return Err(LIST.to_owned()),
                Token::Ident("in") => self.seen_in = true,
                Token::Ident(name) if self.open.contains(&Bracket::Constants) => {
                    let argument = matches!(after, Some(Token::Assign));
                    if !argument && !["true", "false", "none"].contains(name) {
                        return Err(LIST.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a comma here makes a list of what stands around it.
    fn makes_list(&self, first: &str) -> bool {
        match self.open.last() {
            Some(bracket) => *bracket == Bracket::Group,
            // Two names for what a loop goes through; two names with their values.
            None => !(first == "with" || first == "for" && !self.seen_in),
        }
    }
}

const LIST: &str = "a list of values is put together inside it";

fn word<'a>(token: Option<&Token<'a>>) -> &'a str {
    match token {
        Some(Token::Ident(word)) => word,
        _ => "",
    }
}

/// Whether a bracket that follows belongs to the token.
fn is_value(token: Option<&Token<'_>>) -> bool {
    match token {
        Some(Token::Ident(word)) => !["in", "and", "or", "not", "if", "else"].contains(word),
        Some(Token::Str(_) | Token::String(_) | Token::BracketClose | Token::ParenClose) => true,
        _ => false,
    }
}

/// Whether a number stands beside the sign.
fn is_number(tokens: &[Token<'_>], sign: usize) -> bool {
    let number = |at: usize| {
        matches!(tokens.get(at), Some(Token::Int(_) | Token::Float(_)))
            // Not the item of a list.
            && !at.checked_sub(1).is_some_and(|before| matches!(tokens[before], Token::Dot))
    };
    number(sign + 1) || sign.checked_sub(1).is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_says_things_passes() {
        for source in [
            "{{ input }} and { } and [a, b]",
            "{{ vars.list[0] }}{{ vars['a']['b'] }}{{ agents[\"my-agent\"].output | upper }}",
            "{{ input | replace('a', \"b\") | default(vars.x, true) }}",
            "{% for key, value in vars.map | items %}{{ loop.index + 1 }}{% endfor %}",
            "{% for one in [input, vars.x] %}{{ one }}{% else %}none{% endfor %}",
            "{% if vars.x in ['a', 'b'] and not (input or vars.y) %}{% elif vars.n > 2 %}{% endif %}",
            "{{ vars.list | map(attribute='name') | join(', ') }}",
            "{% set a = [1, 'b', true] %}{% with b = 1, c = a[1:2] %}{{ range(1, 3) }}{% endwith %}",
            "{{ 'a' if vars.x is defined else 'b' ~ vars.y }}{{ -1 + 2 }}",
            "{# {{ [[x, x], [x, x]] }} #}{% raw %}{{ {} }}{% endraw %}",
            "{{ not closed [",
        ] {
            assert_eq!(check(source), Ok(()), "{source}");
        }
    }

    #[test]
    fn what_builds_lists_does_not() {
        for source in [
            "{{ {'a': input} }}",
            "{% set a = [a, a] %}",
            "{% set a = [[1], a] %}",
            "{% set a = (a, a) %}",
            "{% set a = a, a %}",
            "{% for a in a, a %}{% endfor %}",
            "{% for a in [[a, a]] %}{% endfor %}",
            "{% for a in [(a, a)] %}{% endfor %}",
            "{% set a = a * 99 %}",
            "{% set a = a + a %}",
            "{% set a = a.0 + a.0 %}",
            "{% set a = a | map('default', a, true) %}",
            "{% set a = x | default([a, a]) %}",
            "{{ 1 if a else [a, a] }}",
        ] {
            assert!(check(source).is_err(), "{source}");
        }
    }

    #[test]
    fn what_nests_without_end_does_not() {
        for (open, piece, close) in [
            ("{{ 1", " - 1", " }}"),
            ("{{ ", "-", "1 }}"),
            ("{{ input", "|upper", " }}"),
            ("{{ vars", ".a", " }}"),
            ("{{ 1", " if 1 else 1", " }}"),
            ("{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
            ("", "{{ input }}", ""),
            ("", "{%raw%}{%endraw%}", ""),
        ] {
            let source = |times| format!("{open}{}{close}", piece.repeat(times));
            assert_eq!(check(&source(20)), Ok(()), "{piece}");
            assert!(check(&source(10_000)).is_err(), "{piece}");
        }
    }
}
