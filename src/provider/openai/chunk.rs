//! The JSON of one chunk, or of a whole answer, as servers really write it.
//!
//! Leaves are kept as raw slices of the input and read leniently afterwards: an id may be a
//! number, a content a list of parts, arguments an object. Nothing is built in memory that is
//! much larger than its text, however hostile that is.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::provider::TokenUsage;

/// Tool calls in one turn; no honest answer has more.
pub const MAX_CALLS: usize = 128;

const MAX_PARTS: usize = 128;

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize)]
pub struct Chunk<'a> {
    #[serde(borrow)]
    pub choices: Option<Few<Choice<'a>, 1>>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub object: Raw<'a>,
    /// Of an error that has no object of its own.
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(borrow)]
    pub detail: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Choice<'a> {
    #[serde(borrow)]
    pub delta: Option<Delta<'a>>,
    /// In place of `delta`: in an answer that is not streamed, and of some servers in the last
    /// chunk, where it repeats the whole.
    #[serde(borrow)]
    pub message: Option<Delta<'a>>,
    #[serde(borrow)]
    pub finish_reason: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Delta<'a> {
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub refusal: Raw<'a>,
    #[serde(borrow)]
    pub reasoning: Raw<'a>,
    #[serde(borrow)]
    pub reasoning_content: Raw<'a>,
    #[serde(borrow)]
    pub tool_calls: Option<Few<Fragment<'a>, MAX_CALLS>>,
}

/// A piece of a tool call.
#[derive(Deserialize)]
pub struct Fragment<'a> {
    #[serde(borrow)]
    pub index: Raw<'a>,
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
}

#[derive(Default, Deserialize)]
pub struct Function<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
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

pub fn number(raw: Raw<'_>) -> Option<u64> {
    let raw = raw?.get().trim_matches('"');
    // Some servers count in floats.
    raw.parse().ok().or_else(|| {
        let float = raw.parse::<f64>().ok().filter(|float| float.is_finite() && *float >= 0.0)?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
        Some(float as u64)
    })
}

/// Whether a server meant anything by it: many send an empty `error` with every chunk.
pub fn is_given(raw: Raw<'_>) -> bool {
    raw.is_some_and(|raw| !matches!(raw.get(), "null" | "\"\"" | "{}" | "[]" | "false"))
}

#[derive(Deserialize)]
struct UsageCounts<'a> {
    #[serde(borrow)]
    prompt_tokens: Raw<'a>,
    #[serde(borrow)]
    completion_tokens: Raw<'a>,
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    prompt_tokens_details: Raw<'a>,
}

#[derive(Deserialize)]
struct InputDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
}

/// The counts, if it is an object that has any.
pub fn usage(raw: Raw<'_>) -> Option<TokenUsage> {
    let raw = raw?.get();
    let counts =
        serde_json::from_str::<UsageCounts<'_>>(raw).ok().filter(|_| raw.starts_with('{'))?;
    let input = number(counts.prompt_tokens.or(counts.input_tokens));
    let output = number(counts.completion_tokens.or(counts.output_tokens));
    let details = counts.prompt_tokens_details.map(RawValue::get).unwrap_or_default();
    let details = serde_json::from_str::<InputDetails<'_>>(details).ok();
    let cached = details.and_then(|details| number(details.cached_tokens)).unwrap_or_default();
    (input.is_some() || output.is_some()).then(|| TokenUsage {
        cached_input_tokens: cached.min(input.unwrap_or_default()),
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
    })
}
