//! Attributes that an expression or a template takes from the elements of a list: the instances of
//! an agent, or a list in an answer.

use super::literal::literals;
use crate::template::{
    NamePath, Piece, PieceKind, Token, after_bracket, attributes, live, name_at, tokens, unquoted,
};

/// Filters whose result has the same elements.
const KEEPING: [&str; 8] =
    ["list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"];
/// Filters whose first argument is an attribute; others may have `attribute=`.
const BY_ATTRIBUTE: [&str; 3] = ["groupby", "rejectattr", "selectattr"];

/// Tests that compare.
const EQUAL: [&str; 6] = ["!=", "==", "eq", "equalto", "ne", "sameas"];

/// An attribute of the elements of a list.
#[derive(Debug)]
pub struct ElementAttribute<'s> {
    pub list: NamePath<'s>,
    /// The attribute and what follows it: `data`, `severity`.
    pub parts: Vec<&'s str>,
    /// As written: `agents.x.items[0].data.severity`, or `data.severity` in a filter.
    pub source: &'s str,
    pub place: Place<'s>,
    /// The texts that it is compared with.
    pub literals: Vec<&'s str>,
}

/// Where an attribute stands.
#[derive(Debug, Clone, Copy)]
pub enum Place<'s> {
    /// After an index, with its list between these tokens.
    Indexed { start: usize, end: usize },
    /// An argument of a filter, with the test that follows it.
    Filter { test: Option<&'s str> },
    /// After the variable of a loop over the list.
    Loop,
}

/// All such attributes in a template, of any name.
pub fn of_template(source: &str) -> Vec<ElementAttribute<'_>> {
    let pieces = live(source);
    let tokens: Vec<_> = pieces.iter().map(|piece| tokens(piece.code())).collect();
    let in_tags = pieces.iter().zip(&tokens);
    let in_tags = in_tags.flat_map(|(piece, tokens)| element_attributes(piece.code(), tokens));
    let loops = (0..pieces.len()).flat_map(|at| of_loop(&pieces[at..], &tokens[at..]));
    in_tags.chain(loops).collect()
}

/// The list that an expression yields, filtered or sorted, if it is nothing else.
pub fn list_of(expression: &str) -> Option<NamePath<'_>> {
    let text = expression.trim();
    let inside = text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
    let source = inside.unwrap_or(text).trim();
    let tokens = tokens(source);
    let list = name_at(source, &tokens, 0)?;
    (after_same(&tokens, list.length) == tokens.len()).then_some(list)
}

/// Where the filters and slices end whose result has the same elements.
fn after_same(tokens: &[Token<'_>], mut at: usize) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    loop {
        let after = match text(at) {
            "[" => after_bracket(tokens, at),
            "|" if !KEEPING.contains(&text(at + 1)) => return at,
            "|" if text(at + 2) == "(" => after_bracket(tokens, at + 2),
            "|" => at + 2,
            _ => return at,
        };
        if text(at) == "[" && !tokens[at..after].iter().any(|token| token.text == ":") {
            return at;
        }
        at = after;
    }
}

/// The tokens of a statement without the sign that trims white space.
fn statement<'t, 's>(piece: &Piece<'_>, tokens: &'t [Token<'s>]) -> &'t [Token<'s>] {
    match tokens {
        _ if piece.kind != PieceKind::Statement => &[],
        [sign, rest @ ..] if matches!(sign.text, "-" | "+") => rest,
        all => all,
    }
}

/// The attributes of the variable of the loop that the first piece begins.
fn of_loop<'s>(pieces: &[Piece<'s>], tokens: &[Vec<Token<'s>>]) -> Vec<ElementAttribute<'s>> {
    let begin = |at: usize| statement(&pieces[at], &tokens[at]);
    let [word, variable, is_in, rest @ ..] = begin(0) else { return Vec::new() };
    if (word.text, is_in.text) != ("for", "in") {
        return Vec::new();
    }
    let Some(list) = name_at(pieces[0].code(), rest, 0) else { return Vec::new() };
    let end = after_same(rest, list.length);
    if !matches!(rest.get(end).map_or("", |token| token.text), "" | "-" | "+" | "if") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut depth = 0;
    for at in 0..pieces.len() {
        let words = begin(at);
        let first = words.first().map_or("", |token| token.text);
        match first {
            "for" => depth += 1,
            "endfor" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return found;
        }
        let from = if at == 0 { tokens[0].len() - rest.len() + end } else { 0 };
        for start in from..tokens[at].len() {
            if tokens[at][start].text != variable.text {
                continue;
            }
            let Some(name) = name_at(pieces[at].code(), &tokens[at], start) else { continue };
            // It may get another value.
            if name.length == 1 && matches!(first, "for" | "set" | "with") {
                return Vec::new();
            }
            let (parts, source) = (name.parts[1..].to_vec(), name.source);
            let literals = literals(&tokens[at], start, start + name.length);
            let (list, place) = (list.clone(), Place::Loop);
            found.push(ElementAttribute { list, parts, source, place, literals });
        }
    }
    found
}

/// All such attributes in an expression of these tokens, of any name.
pub fn element_attributes<'s>(source: &'s str, tokens: &[Token<'s>]) -> Vec<ElementAttribute<'s>> {
    let starts = 0..tokens.len();
    starts.flat_map(|start| of_name(source, tokens, start)).collect()
}

fn of_name<'s>(source: &'s str, tokens: &[Token<'s>], start: usize) -> Vec<ElementAttribute<'s>> {
    let mut found = Vec::new();
    let Some(list) = name_at(source, tokens, start) else { return found };
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut at = start + list.length;
    loop {
        match text(at) {
            "[" => {
                let after = after_bracket(tokens, at);
                // A slice has the same elements.
                if tokens[at..after].iter().any(|token| token.text == ":") {
                    at = after;
                    continue;
                }
                let (parts, length) = attributes(&tokens[after..]);
                let end = after + length;
                let last = tokens[end - 1];
                let source = &source[tokens[start].at..last.at + last.text.len()];
                let place = Place::Indexed { start, end };
                let literals = literals(tokens, start, end);
                found.push(ElementAttribute { list, parts, source, place, literals });
                return found;
            }
            "|" => {
                let filter = text(at + 1);
                let has_arguments = text(at + 2) == "(";
                let after = if has_arguments { after_bracket(tokens, at + 2) } else { at + 2 };
                let arguments = if has_arguments { at + 3..after - 1 } else { 0..0 };
                found.extend(by_attribute(filter, &list, &tokens[arguments]));
                if !KEEPING.contains(&filter) {
                    return found;
                }
                at = after;
            }
            _ => return found,
        }
    }
}

/// The attribute among the arguments of a filter of a list, and the test after it.
fn by_attribute<'s>(
    filter: &str,
    list: &NamePath<'s>,
    arguments: &[Token<'s>],
) -> Option<ElementAttribute<'s>> {
    let named = arguments.windows(2).position(|pair| {
        let [name, sign] = pair else { return false };
        (name.text, sign.text) == ("attribute", "=")
    });
    let at = match named {
        Some(at) => at + 2,
        None if BY_ATTRIBUTE.contains(&filter) => 0,
        None => return None,
    };
    // Several attributes are separated by commas.
    let source = unquoted(arguments.get(at)?.text).filter(|text| !text.contains(','))?;
    let next = |at: usize| match arguments.get(at..) {
        Some([comma, text, rest @ ..]) if comma.text == "," => {
            unquoted(text.text).filter(|_| rest.first().is_none_or(|sign| sign.text == ","))
        }
        _ => None,
    };
    let test = next(at + 1);
    let compares = test.is_some_and(|test| EQUAL.contains(&test));
    Some(ElementAttribute {
        list: list.clone(),
        parts: source.split('.').collect(),
        source,
        place: Place::Filter { test },
        literals: next(at + 3).filter(|_| compares).into_iter().collect(),
    })
}
