//! A variable's value in a template: printed as it is, never run as code.

use super::Part;
use crate::template::{PieceKind, pieces};

/// Whether every value stands between the tags of the template. Inside a tag it would be code.
pub fn keeps_apart(parts: &[Part<'_>]) -> bool {
    let (mut before, mut has_values, mut has_raw_blocks) = (String::new(), false, false);
    for part in parts {
        match part {
            Part::File(text) => before.push_str(text),
            Part::Environment(_) => {
                let last = pieces(&before).last().map(|piece| piece.kind);
                if last == Some(PieceKind::Unclosed) {
                    return false;
                }
                has_values = true;
                has_raw_blocks |= before.contains("endraw");
                before.clear();
            }
        }
    }
    has_raw_blocks |= before.contains("endraw");
    // A value in a raw block would be printed, but nothing in it can be escaped.
    !(has_values && has_raw_blocks)
}

/// Adds the value so that it comes out as it is: as a string in braces where it would mean
/// something as text of the template, or where white space around it could be dropped.
pub fn push(value: &str, out: &mut String) {
    let opened = out.ends_with('{');
    let is_plain = !value.contains('{') && value.trim() == value;
    if is_plain && !opened {
        return out.push_str(value);
    }
    // A brace before it must not become one with those that come now.
    let before = if opened { out.pop() } else { None };
    let value: String = before.into_iter().chain(value.chars()).collect();
    out.push_str("{{");
    // The escapes of JSON are the template's as well.
    out.push_str(&serde_json::Value::String(value).to_string());
    out.push_str("}}");
}
