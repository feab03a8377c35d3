//! How two requests differ.

use serde_json::Value;

use crate::text::one_line;

/// Differences that a message shows.
const MAX_SHOWN: usize = 3;
/// Characters of a value that a message shows, from shortly before the place where it differs.
const MAX_VALUE: usize = 60;
/// Characters before that place.
const CONTEXT: usize = 20;

/// Something that two requests do not have in common.
struct Difference<'a> {
    /// Such as `messages[1].user`.
    path: String,
    recorded: Option<&'a Value>,
    now: Option<&'a Value>,
}

/// How far two requests are apart: the number of values that differ, then the bytes of these that
/// do not fit.
pub fn distance(recorded: &Value, now: &Value) -> (usize, usize) {
    let differences = all(recorded, now);
    let bytes = differences.iter().map(|difference| match (difference.recorded, difference.now) {
        (Some(one), Some(other)) => apart(&text(one), &text(other)),
        (one, other) => one.or(other).map_or(0, |value| text(value).len()),
    });
    (differences.len(), bytes.sum())
}

/// The bytes between the common start and the common end of two texts.
fn apart(one: &str, other: &str) -> usize {
    let start = common_start(one, other);
    let ends = one.as_bytes()[start..].iter().rev().zip(other.as_bytes()[start..].iter().rev());
    let end = ends.take_while(|(one, other)| one == other).count();
    one.len().max(other.len()) - start - end
}

fn common_start(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count()
}

/// What differs, for a message: `messages[1].user (recorded "…slow", now "…slower")`.
pub fn differences(recorded: &Value, now: &Value) -> String {
    let all = all(recorded, now);
    let shown = all.iter().take(MAX_SHOWN).map(|difference| {
        let Difference { path, recorded, now } = difference;
        match (recorded, now) {
            (Some(recorded), Some(now)) => {
                let (recorded, now) = (text(recorded), text(now));
                let from = common_start(&recorded, &now);
                format!(
                    "{path} (recorded {}, now {})",
                    excerpt(&recorded, from),
                    excerpt(&now, from)
                )
            }
            (Some(recorded), None) => {
                format!("{path} (recorded {}, now missing)", excerpt(&text(recorded), 0))
            }
            (_, now) => {
                let now = now.map(text).unwrap_or_default();
                format!("{path} (not recorded, now {})", excerpt(&now, 0))
            }
        }
    });
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    if all.len() > MAX_SHOWN {
        shown.push_str(&format!(" and {} more", all.len() - MAX_SHOWN));
    }
    shown
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A part of a text in quotes, with a little of what is before `from`.
fn excerpt(text: &str, from: usize) -> String {
    let before = &text[..text.floor_char_boundary(from)];
    let skipped = before.chars().count().saturating_sub(CONTEXT);
    let rest: String = text.chars().skip(skipped).take(MAX_VALUE).collect();
    let start = if skipped > 0 { "…" } else { "" };
    let end = if text.chars().nth(skipped + MAX_VALUE).is_some() { "…" } else { "" };
    format!("\"{start}{}{end}\"", one_line(&rest))
}

fn all<'a>(recorded: &'a Value, now: &'a Value) -> Vec<Difference<'a>> {
    let mut found = Vec::new();
    compare(Some(recorded), Some(now), "", &mut found);
    found
}

fn compare<'a>(
    recorded: Option<&'a Value>,
    now: Option<&'a Value>,
    path: &str,
    found: &mut Vec<Difference<'a>>,
) {
    match (recorded, now) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.keys().filter(|name| !one.contains_key(*name));
            for name in one.keys().chain(added) {
                let dot = if path.is_empty() { "" } else { "." };
                compare(one.get(name), other.get(name), &format!("{path}{dot}{name}"), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for at in 0..one.len().max(other.len()) {
                compare(one.get(at), other.get(at), &format!("{path}[{at}]"), found);
            }
        }
        (one, other) if one == other => {}
        (recorded, now) => found.push(Difference { path: path.to_owned(), recorded, now }),
    }
}
