//! Names, arguments and turns in the form that servers of every API accept.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::chat::{Message, NativePart, NativeTurn};

/// Replaces an empty prompt, which some servers reject.
pub const NO_TEXT: &str = "(empty)";

/// A part of a message: crew's own, or exactly as the server sent it.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Part<'a, T> {
    Native(&'a RawValue),
    Ours(T),
}

/// The turn as the model sent it. `None` if another model did, or the server needs no parts back.
pub fn native<'a, T>(
    turn: Option<&'a NativeTurn>,
    text: &'a str,
    model_ref: &str,
    write_text: impl Fn(&'a str) -> Option<T>,
) -> Option<Vec<Part<'a, T>>> {
    let turn = turn.filter(|turn| *turn.model_ref == *model_ref)?;
    let part = |part: &'a NativePart| match part {
        // It comes from a valid document.
        NativePart::Json(json) => serde_json::from_str(json).ok().map(Part::Native),
        NativePart::Text(range) => write_text(text.get(range.clone())?).map(Part::Ours),
    };
    Some(turn.parts.iter().filter_map(part).collect())
}

/// The system messages as one text, for APIs that take it apart from the messages.
pub fn system(messages: &[Message]) -> Option<String> {
    let texts = messages.iter().filter_map(|message| match message {
        Message::System(text) if !text.trim().is_empty() => Some(text.as_str()),
        _ => None,
    });
    let system = texts.collect::<Vec<_>>().join("\n\n");
    (!system.is_empty()).then_some(system)
}

/// The arguments as the model wrote them, or `{}` in place of text that servers reject: the agent
/// would fail, although the model can correct its mistake. The tool's result describes it.
pub fn arguments(text: &str) -> &str {
    let is_object =
        text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok();
    if is_object { text } else { "{}" }
}

/// An id of nine letters and digits. Equal ids stay equal.
pub fn short_id(id: &str) -> Cow<'_, str> {
    const LENGTH: usize = 9;
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Cow::Borrowed(id);
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    let mut rest = hasher.finish();
    let digit = |_| {
        let digit = DIGITS[usize::try_from(rest % 62).unwrap_or_default()];
        rest /= 62;
        char::from(digit)
    };
    (0..LENGTH).map(digit).collect()
}

/// The name with at most 64 letters, digits, `_` and `-`.
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
