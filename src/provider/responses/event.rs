//! The JSON of one event, or of a whole response.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::TokenUsage;
use crate::provider::json::{Capped, Raw, number, object};

/// The limit of items in one answer. Models write far fewer.
pub const MAX_ITEMS: usize = 1024;

/// An event, or a whole response.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub r#type: Raw<'a>,
    #[serde(borrow)]
    pub output_index: Raw<'a>,
    #[serde(borrow)]
    pub item: Raw<'a>,
    #[serde(borrow)]
    pub delta: Raw<'a>,
    #[serde(borrow)]
    pub response: Raw<'a>,
    #[serde(borrow)]
    pub object: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(borrow)]
    pub detail: Raw<'a>,
}

/// A response, whole or as far as it has come.
#[derive(Default, Deserialize)]
pub struct Response<'a> {
    #[serde(borrow)]
    pub status: Raw<'a>,
    #[serde(borrow)]
    pub output: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub incomplete_details: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Incomplete<'a> {
    #[serde(borrow)]
    pub reason: Raw<'a>,
}

/// A message, a tool call, or reasoning.
#[derive(Deserialize)]
pub struct Item<'a> {
    #[serde(borrow)]
    pub r#type: Raw<'a>,
    #[serde(borrow)]
    pub call_id: Raw<'a>,
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub encrypted_content: Raw<'a>,
}

/// A part of a message.
#[derive(Deserialize)]
pub struct Content<'a> {
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub refusal: Raw<'a>,
}

/// The items of a list; empty for other types.
pub fn items<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> serde_json::Result<Capped<T, MAX_ITEMS>> {
    match raw.map(RawValue::get).filter(|raw| raw.starts_with('[')) {
        Some(list) => serde_json::from_str(list),
        None => Ok(Capped { items: Vec::new(), more: false }),
    }
}

#[derive(Deserialize)]
struct Usage<'a> {
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    input_tokens_details: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
    #[serde(borrow)]
    reasoning_tokens: Raw<'a>,
}

/// The token counts; `None` if there are none.
pub fn usage(raw: Raw<'_>) -> Option<TokenUsage> {
    let counts: Usage<'_> = object(raw)?;
    let count = |raw| number(raw).unwrap_or_default();
    let details = |raw| object::<Details<'_>>(raw).unwrap_or_default();
    Some(TokenUsage {
        input_tokens: count(counts.input_tokens),
        output_tokens: count(counts.output_tokens),
        cached_input_tokens: count(details(counts.input_tokens_details).cached_tokens),
        reasoning_tokens: count(details(counts.output_tokens_details).reasoning_tokens),
    })
}
