//! A variable's value in a template: printed as it is, never run as code.

use crate::template::{PieceKind, pieces};

/// A part of the expanded text.
pub enum Part<'t> {
    /// Text of the file, which may be a template. Defaults are text of the file, too.
    File(&'t str),
    Environment(String),
}

/// Whether every value is outside the tags of the template. Inside a tag it would be code.
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

/// Appends the value so that it is printed unchanged: as a string in braces if it could be taken
/// for a tag, or if the template could trim white space around it.
pub fn push(value: &str, out: &mut String) {
    let opened = out.ends_with('{');
    let is_plain = !value.contains('{') && value.trim() == value;
    if is_plain && !opened {
        return out.push_str(value);
    }
    // The brace before it must not combine with the braces added here.
    let before = if opened { out.pop() } else { None };
    let value: String = before.into_iter().chain(value.chars()).collect();
    out.push_str("{{");
    // Templates have the same escapes as JSON.
    out.push_str(&serde_json::Value::String(value).to_string());
    out.push_str("}}");
}
