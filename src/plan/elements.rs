//! Attributes that an expression takes from the elements of a list: the instances of an agent, or a
//! list in an answer.

use std::ops::Range;

use crate::template::{NamePath, Token, after_bracket, attributes, name_at};

/// Filters whose result has the same elements.
const KEEPING: [&str; 8] =
    ["list", "reject", "rejectattr", "reverse", "select", "selectattr", "sort", "unique"];
/// Filters whose first argument is an attribute; others may have `attribute=`.
const BY_ATTRIBUTE: [&str; 3] = ["groupby", "rejectattr", "selectattr"];

/// An attribute of the elements of a list.
#[derive(Debug)]
pub struct ElementAttribute<'s> {
    pub list: NamePath<'s>,
    /// The attribute and what follows it: `data`, `severity`.
    pub parts: Vec<&'s str>,
    /// As written: `agents.x.items[0].data.severity`, or `data.severity` in a filter.
    pub source: &'s str,
    pub place: Place<'s>,
}

/// Where an attribute stands.
#[derive(Debug, Clone, Copy)]
pub enum Place<'s> {
    /// After an index, with its list between these tokens.
    Indexed { start: usize, end: usize },
    /// An argument of a filter, with the test that follows it.
    Filter { test: Option<&'s str> },
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
                found.push(ElementAttribute { list, parts, source, place });
                return found;
            }
            "|" => {
                let filter = text(at + 1);
                let has_arguments = text(at + 2) == "(";
                let after = if has_arguments { after_bracket(tokens, at + 2) } else { at + 2 };
                let arguments = if has_arguments { at + 3..after - 1 } else { 0..0 };
                if let Some((attribute, test)) = by_attribute(filter, tokens, arguments) {
                    let parts = attribute.split('.').collect();
                    let (list, place) = (list.clone(), Place::Filter { test });
                    found.push(ElementAttribute { list, parts, source: attribute, place });
                }
                if !KEEPING.contains(&filter) {
                    return found;
                }
                at = after;
            }
            _ => return found,
        }
    }
}

/// The attribute among the arguments of a filter, and the test after it.
fn by_attribute<'s>(
    filter: &str,
    tokens: &[Token<'s>],
    arguments: Range<usize>,
) -> Option<(&'s str, Option<&'s str>)> {
    let arguments = tokens.get(arguments)?;
    let named = arguments.windows(2).position(|pair| {
        let [name, sign] = pair else { return false };
        (name.text, sign.text) == ("attribute", "=")
    });
    let at = match named {
        Some(at) => at + 2,
        None if BY_ATTRIBUTE.contains(&filter) => 0,
        None => return None,
    };
    let attribute = unquoted(arguments.get(at)?.text)?;
    let test = arguments.get(at + 1).filter(|sign| sign.text == ",").and(arguments.get(at + 2));
    Some((attribute, test.and_then(|test| unquoted(test.text))))
}

fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix(['"', '\''])?.strip_suffix(['"', '\''])
}
