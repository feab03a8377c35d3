//! The JSON values in what a model wrote.

use serde::de::IgnoredAny;
use serde_json::{Deserializer, Value};

use crate::text::json;

/// Places of a text where a value is tried to be read.
const MOST_STARTS: usize = 100;

/// The answer as a whole if it is one value, or else the objects and lists it holds: at least one.
///
/// # Errors
/// There is none; why, for the model.
pub fn values(answer: &str) -> Result<Vec<Value>, String> {
    let answer = answer.trim_start_matches('\u{feff}').trim();
    let why = match parse(answer) {
        Ok(value) => return Ok(vec![value]),
        Err(why) => why,
    };
    let said = without_thoughts(answer);
    if let Some(value) = fenced(said).and_then(|inside| parse(inside).ok()) {
        return Ok(vec![value]);
    }
    match embedded(said) {
        none if none.is_empty() => Err(why),
        found => Ok(found),
    }
}

fn parse(text: &str) -> Result<Value, String> {
    json::value(text.as_bytes()).map_err(|error| error.to_string())
}

/// What comes after the thoughts that some servers leave in a model's answer.
fn without_thoughts(answer: &str) -> &str {
    match answer.rsplit_once("</think>") {
        Some((_, said)) if !said.trim().is_empty() => said.trim(),
        _ => answer,
    }
}

/// The inside of a text that is one code fence.
fn fenced(text: &str) -> Option<&str> {
    let (_language, inside) = text.strip_prefix("```")?.split_once('\n')?;
    inside.trim_end().strip_suffix("```")
}

/// Objects and lists amid other text. What stands between brackets that are no JSON, or that are
/// never closed, is a piece of something and not taken for the whole.
fn embedded(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let (mut at, mut open, mut starts) = (0, 0_usize, 0);
    while let Some(next) = text[at..].find(['{', '[', '}', ']']) {
        let start = at + next;
        at = start + 1;
        if text[start..].starts_with(['}', ']']) {
            open = open.saturating_sub(1);
        } else if open > 0 {
            open += 1;
        } else if starts < MOST_STARTS {
            starts += 1;
            match length(&text[start..]) {
                Some(length) => {
                    at = start + length;
                    found.extend(parse(&text[start..at]).ok());
                }
                None => open = 1,
            }
        }
    }
    found
}

/// Bytes of the value that the text begins with.
fn length(text: &str) -> Option<usize> {
    let mut values = Deserializer::from_str(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    Some(values.byte_offset())
}
