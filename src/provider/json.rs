//! JSON as servers really write it, read leniently.
//!
//! Leaves are kept as raw slices of the input: an id may be a number, a content a list of parts,
//! arguments an object. Nothing is built in memory that is much larger than its text, however
//! hostile that is.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

const MAX_PARTS: usize = 128;
/// No call has counted so many tokens, and those of ten million calls can still be added up.
const MOST: u64 = 1 << 40;

/// A leaf, or whatever stands in its place; read by the functions below.
pub type Raw<'a> = Option<&'a RawValue>;

/// A whole document. Checked as a whole it is read faster than checked string by string; what is
/// not UTF-8 may stand where nobody looks.
pub fn document<'a, T: Deserialize<'a>>(json: &'a [u8]) -> serde_json::Result<T> {
    match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    }
}

/// The first `N` items of a list. The others are skipped, not stored: a list of empty objects
/// takes a hundred times its text once each is a struct.
pub struct Few<T, const N: usize> {
    pub items: Vec<T>,
    pub more: bool,
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Few<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = Few<T, N>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut few = Few { items: Vec::new(), more: false };
                while few.items.len() < N {
                    match list.next_element()? {
                        Some(item) => few.items.push(item),
                        None => return Ok(few),
                    }
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    few.more = true;
                }
                Ok(few)
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[derive(Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    text: Raw<'a>,
}

/// A text: a string, a number's digits, or the texts of a list of parts; empty for anything else.
pub fn text(raw: Raw<'_>) -> serde_json::Result<Cow<'_, str>> {
    let Some(raw) = raw.map(RawValue::get) else { return Ok(Cow::Borrowed("")) };
    match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<Borrowed<'_>>(raw).map(|text| text.0),
        Some(b'[') => {
            let parts = serde_json::from_str::<Few<Part<'_>, MAX_PARTS>>(raw)?;
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

/// The arguments of a call: mostly a string that holds JSON, of some servers the object itself.
pub fn arguments(raw: Raw<'_>) -> serde_json::Result<Cow<'_, str>> {
    match raw.map(RawValue::get) {
        Some(object) if object.starts_with(['{', '[']) => Ok(Cow::Borrowed(object)),
        _ => text(raw),
    }
}

/// A count, of at most [`MOST`].
pub fn number(raw: Raw<'_>) -> Option<u64> {
    let raw = raw?.get().trim_matches('"');
    // Some servers count in floats.
    let number = raw.parse().ok().or_else(|| {
        let float = raw.parse::<f64>().ok().filter(|float| float.is_finite() && *float >= 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Some(float as u64)
    });
    number.map(|number| number.min(MOST))
}

/// Whether a server meant anything by it: many send an empty `error` with every chunk.
pub fn is_given(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "{}" | "[]" | "false"))
}

/// The object at this place, as far as it is one; what does not fit is as good as absent.
pub fn object<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    let raw = raw?.get();
    if raw.starts_with('{') { serde_json::from_str(raw).ok() } else { None }
}
