//! The canonical form of JSON, and hashes that are the same on every machine.

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use serde_json::Value;

/// The largest whole number that every JSON parser reads exactly: from here on, not every whole
/// number has a float of its own.
pub const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// The SHA-256 of a text as hexadecimal digits.
pub fn hash(text: &str) -> String {
    hex(&sha256(text.as_bytes()))
}

/// The canonical form of a value: JSON without spaces, with sorted names and whole numbers without
/// a fraction. The order of fields and the way a number is written make no other input.
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write_canonical(value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| *name);
            write_list('{', '}', out, entries.into_iter(), |(name, value), out| {
                write_text(name, out);
                out.push(':');
                write_canonical(value, out);
            });
        }
        Value::Array(items) => write_list('[', ']', out, items.iter(), write_canonical),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < MAX_EXACT => {
                // Writing to a text does not fail.
                let _ = write!(out, "{}", float as i64);
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::String(text) => write_text(text, out),
        Value::Bool(_) | Value::Null => out.push_str(&value.to_string()),
    }
}

fn write_list<T>(
    open: char,
    close: char,
    out: &mut String,
    items: impl Iterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

fn write_text(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

/// The SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let hash = digest(&SHA256, bytes);
    hash.as_ref().first_chunk().copied().unwrap_or_default()
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}
