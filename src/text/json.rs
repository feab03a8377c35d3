//! Reads JSON from models and servers, within bounds.
//!
//! Servers send what their languages print, and that is not always JSON: bytes that are not UTF-8,
//! halves of surrogate pairs, control characters inside strings, `NaN`, a key twice in one object.
//! [`tidy`] turns all of it into JSON that every parser accepts. Everything that parses such JSON
//! calls it first.

mod piece;
mod scan;

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use piece::{Joiner, Piece};
pub use scan::Halves;

/// Values of one document. Honest documents have fewer, and parsed ones take less than 64 MiB.
/// `[0,0,0,…]` takes 30 times its length.
pub const MAX_JSON_VALUES: usize = 200_000;
/// Lists and objects inside each other. Parsers accept 127, and a report that is read again holds
/// such a document some levels further down.
pub const MAX_JSON_DEPTH: usize = 100;

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    #[error("it has more than {MAX_JSON_VALUES} values")]
    TooManyValues,
    #[error("it is nested more than {MAX_JSON_DEPTH} levels deep")]
    TooDeep,
    #[error("it is not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
}

/// Replaces what JSON does not allow: U+FFFD for bytes that are not UTF-8 and for halves of
/// surrogate pairs, escapes for control characters, `null` for `NaN` and infinities. Of members
/// with the same key, the last one remains. Returns the text unchanged if nothing is wrong with it.
/// Does not check the syntax.
///
/// # Errors
/// The text exceeds [`MAX_JSON_VALUES`] or [`MAX_JSON_DEPTH`].
pub fn tidy(json: &[u8], halves: Halves) -> Result<Cow<'_, str>, JsonError> {
    match String::from_utf8_lossy(json) {
        Cow::Borrowed(text) => scan::tidy(text, halves),
        Cow::Owned(text) => Ok(Cow::Owned(scan::tidy(&text, halves)?.into_owned())),
    }
}

/// Parses a document.
///
/// # Errors
/// The text exceeds a limit, is not JSON, or is not a `T`.
pub fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, JsonError> {
    let text = tidy(json, Halves::Replace)?;
    Ok(serde_json::from_str(&text)?)
}

/// Whether a value is nested more than [`MAX_JSON_DEPTH`] levels deep.
pub fn is_too_deep(value: &Value) -> bool {
    fn exceeds(value: &Value, levels: usize) -> bool {
        let inner = |value| exceeds(value, levels - 1);
        match value {
            Value::Array(values) => levels == 0 || values.iter().any(inner),
            Value::Object(members) => levels == 0 || members.values().any(inner),
            _ => false,
        }
    }
    exceeds(value, MAX_JSON_DEPTH)
}

/// Parses a document of any form.
///
/// # Errors
/// The text exceeds a limit or is not JSON.
pub fn value(json: &[u8]) -> Result<Value, JsonError> {
    parse(json)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_servers_print_is_read() {
        for (text, expected) in [
            (&br#"{"a":1,"b":2}"#[..], json!({"a": 1, "b": 2})),
            (
                br#"{"a":1,"b":{"a":[1,{"c":1,"c":2}]},"a":3}"#,
                json!({"b": {"a": [1, {"c": 2}]}, "a": 3}),
            ),
            (br#"{"a":"x,\"a\":","a":{"a":1},"a":[NaN]}"#, json!({"a": [null]})),
            (b"[NaN, -Infinity,Infinity , -1]", json!([null, null, null, -1])),
            (br#"{"NaN": "NaN -Infinity"}"#, json!({"NaN": "NaN -Infinity"})),
            (b"\"a\tb\nc\x01\"", json!("a\tb\nc\u{1}")),
            (b"\"a\xffb\xe2\x82\"", json!("a\u{fffd}b\u{fffd}")),
            (
                br#""\ud83d\ude00 \ud83d \ude00 \ud83d\ud83d\ude00""#,
                json!("\u{1f600} \u{fffd} \u{fffd} \u{fffd}\u{1f600}"),
            ),
            (br#"["\udcfc", "\\udcfc"]"#, json!(["\u{fffd}", "\\udcfc"])),
            (b"\xef\xbb\xbf[1]", json!([1])),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(value(text).unwrap(), expected, "{shown}");
        }
    }

    #[test]
    fn valid_json_is_not_copied() {
        let text = br#" {"a": ["\ud83d\ude00", -1.5e3, "\\", {}, []], "b": null} "#;
        assert!(matches!(tidy(text, Halves::Replace), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn other_faults_remain_faults() {
        for text in
            ["{", "[1,]", "{'a': 1}", "nan", "\"a", "\"\\", "\"\\u", "\"\\ud83", "]", "[1] 2", ""]
        {
            assert!(matches!(value(text.as_bytes()), Err(JsonError::Syntax(_))), "{text}");
        }
    }

    #[test]
    fn documents_are_bounded() {
        let many = |count: usize| format!("[{}0]", "0,".repeat(count));
        assert!(value(many(MAX_JSON_VALUES - 2).as_bytes()).is_ok());
        assert!(matches!(value(many(MAX_JSON_VALUES).as_bytes()), Err(JsonError::TooManyValues)));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(value(deep(MAX_JSON_DEPTH).as_bytes()).is_ok());
        assert!(matches!(value(deep(1_000_000).as_bytes()), Err(JsonError::TooDeep)));
        let parsed = |depth| serde_json::from_str(&deep(depth)).unwrap();
        assert!(!is_too_deep(&parsed(MAX_JSON_DEPTH)));
        assert!(is_too_deep(&parsed(MAX_JSON_DEPTH + 1)));
        let commas = ",".repeat(MAX_JSON_VALUES + 1);
        assert!(value(format!(r#"{{"a":"\\\"{commas}"}}"#).as_bytes()).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_tidied(bytes in "([\\[\\]{},:\"\\\\uadNIé0-9\\-\t]|\\\\ud83d|NaN|\"a\":){0,60}") {
            if let Ok(text) = tidy(bytes.as_bytes(), Halves::Replace) {
                // What a parser accepted, it still accepts, with the same meaning.
                if let Ok(value) = serde_json::from_str::<Value>(&bytes) {
                    proptest::prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
                }
            }
        }
    }
}
