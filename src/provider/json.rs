//! Lenient reading of the JSON that servers really send.
//!
//! Leaves are kept as raw slices of the input: an id may be a number, content a list of parts,
//! arguments an object. Nothing built in memory is much larger than its text, even if that is
//! hostile.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::text::json::Piece;

const MAX_PARTS: usize = 128;
/// More tokens than any call has, but the sum over ten million calls does not overflow.
const MAX_NUMBER: u64 = 1 << 40;

/// A leaf of any type, read by the functions below.
pub type Raw<'a> = Option<&'a RawValue>;

/// Parses a document. Checking UTF-8 once is faster than for every string. Bytes that are not UTF-8
/// matter only in a value that is read.
pub fn document<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// The first `N` items of a list. The others are skipped: a list of empty objects would take a
/// hundred times the memory of its text.
pub struct Capped<T, const N: usize> {
    pub items: Vec<T>,
    pub more: bool,
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Capped<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = Capped<T, N>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut capped = Capped { items: Vec::new(), more: false };
                while capped.items.len() < N {
                    match list.next_element()? {
                        Some(item) => capped.items.push(item),
                        None => return Ok(capped),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    capped.more = true;
                }
                Ok(capped)
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Raw<'a>,
}

/// A text: a string, the digits of a number, or the texts of a list of parts. Empty for other
/// types.
pub fn text(raw: Raw<'_>) -> serde_json::Result<Cow<'_, str>> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(Cow::Borrowed("")) };
    match raw.as_bytes().first() {
        Some(b'"') => Piece::decode(raw).map(Piece::whole),
        Some(b'[') => {
            let parts = serde_json::from_str::<Capped<Part<'_>, MAX_PARTS>>(raw)?;
            let mut joined = String::new();
            for part in parts.items {
                if part.text.is_some_and(|raw| raw.get().starts_with('"')) {
                    joined.push_str(&text(part.text)?);
                }
            }
            Ok(Cow::Owned(joined))
        }
        Some(b'{' | b'n') | None => Ok(Cow::Borrowed("")),
        Some(_) => Ok(Cow::Borrowed(raw)),
    }
}

/// A text that arrives in pieces, which may cut a character in two.
pub fn piece(raw: Raw<'_>) -> serde_json::Result<Piece<'_>> {
    match raw.map(RawValue::get) {
        Some(string) if string.starts_with('"') => Piece::decode(string),
        _ => text(raw).map(Piece::from),
    }
}

/// The arguments of a call: usually a string that contains JSON; some servers send the object.
pub fn arguments(raw: Raw<'_>) -> serde_json::Result<Piece<'_>> {
    match raw.map(RawValue::get) {
        Some(object) if object.starts_with(['{', '[']) => Ok(object.into()),
        _ => piece(raw),
    }
}

/// A count of at most [`MAX_NUMBER`].
pub fn number(raw: Raw<'_>) -> Option<u64> {
    let raw = raw?.get().trim_matches('"');
    // Some servers send counts as floats.
    let number = raw.parse().ok().or_else(|| {
        let float = raw.parse::<f64>().ok().filter(|float| float.is_finite() && *float >= 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Some(float as u64)
    });
    number.map(|number| number.min(MAX_NUMBER))
}

/// Whether the value says anything: many servers send an empty `error` with every chunk.
pub fn is_given(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "{}" | "[]" | "false"))
}

/// Whether an event of this type reports an error. Gateways send bodies without a type, of which
/// `explanations` are the fields that say what went wrong.
pub fn is_error_event(kind: &str, error: Raw<'_>, explanations: [Raw<'_>; 2]) -> bool {
    let explains = kind.is_empty() && explanations.into_iter().any(is_given);
    is_given(error) || kind == "error" || explains
}

/// The object, or `None` if the value has another type or other fields.
pub fn object<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    let raw = raw?.get();
    if raw.starts_with('{') { serde_json::from_str(raw).ok() } else { None }
}
