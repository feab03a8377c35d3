//! The JSON of one event, or of a whole response.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::provider::json::{Capped, Raw};

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
