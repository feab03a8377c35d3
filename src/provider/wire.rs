//! What all protocols write the same way: names, arguments and turns that servers accept back.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::chat::{Message, NativePart, NativeTurn};

/// In place of a prompt without any text, which some servers refuse.
pub const NO_TEXT: &str = "(empty)";

/// A part of a message: ours, or just as the server once sent it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Part<'a, T> {
    Native(&'a RawValue),
    Ours(T),
}

/// The turn as `by` sent it, `text` being its text; `None` if another server did, or nothing needs
/// to go back.
pub fn native<'a, T>(
    turn: Option<&'a NativeTurn>,
    text: &'a str,
    by: &str,
    write_text: impl Fn(&'a str) -> Option<T>,
) -> Option<Vec<Part<'a, T>>> {
    let turn = turn.filter(|turn| *turn.by == *by)?;
    let part = |part: &'a NativePart| match part {
        // It was made from a valid document, or is one.
        NativePart::Json(json) => serde_json::from_str(json).ok().map(Part::Native),
        NativePart::Text(range) => write_text(text.get(range.clone())?).map(Part::Ours),
    };
    Some(turn.parts.iter().filter_map(part).collect())
}

/// All that the system says, for protocols that take it apart from the messages.
pub fn system(messages: &[Message]) -> Option<String> {
    let texts = messages.iter().filter_map(|message| match message {
        Message::System(text) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    });
    let system = texts.collect::<Vec<_>>().join("\n\n");
    (!system.is_empty()).then_some(system)
}

/// The arguments as the model wrote them, or `{}` for what servers refuse to read back: then one
/// slip of the model would end its agent rather than be mended. The tool's message says what was
/// wrong.
pub fn arguments(text: &str) -> &str {
    let readable =
        text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
    if readable { text } else { "{}" }
}

/// A name of up to 64 letters, digits, `_` and `-`.
pub fn function_name(name: &str) -> Cow<'_, str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() {
        Cow::Borrowed("unnamed")
    } else if name.len() <= 64 && name.chars().all(allowed) {
        Cow::Borrowed(name)
    } else {
        name.chars().take(64).map(|c| if allowed(c) { c } else { '_' }).collect()
    }
}
