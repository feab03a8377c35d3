//! The JSON of one event, or of a whole response.

use serde::Deserialize;

use crate::chat::TokenUsage;
use crate::provider::json::{Capped, Raw, number, object};

/// The limit of content blocks in one answer. Models write far fewer.
pub const MAX_BLOCKS: usize = 1024;

/// An event, or a whole message.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub r#type: Raw<'a>,
    #[serde(borrow)]
    pub index: Raw<'a>,
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(borrow)]
    pub content_block: Raw<'a>,
    #[serde(borrow)]
    pub delta: Raw<'a>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub detail: Raw<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub stop_reason: Raw<'a>,
}

/// The message at the start of a stream.
#[derive(Default, Deserialize)]
pub struct Start<'a> {
    #[serde(borrow)]
    pub usage: Raw<'a>,
}

/// A block at its start, or a whole one.
#[derive(Deserialize)]
pub struct Block<'a> {
    #[serde(borrow)]
    pub r#type: Raw<'a>,
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub thinking: Raw<'a>,
    #[serde(borrow)]
    pub signature: Raw<'a>,
    #[serde(borrow)]
    pub data: Raw<'a>,
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub input: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Delta<'a> {
    #[serde(borrow)]
    pub r#type: Raw<'a>,
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub thinking: Raw<'a>,
    #[serde(borrow)]
    pub signature: Raw<'a>,
    #[serde(borrow)]
    pub partial_json: Raw<'a>,
    #[serde(borrow)]
    pub stop_reason: Raw<'a>,
}

/// The blocks of a whole message.
pub fn blocks(raw: Raw<'_>) -> serde_json::Result<Capped<Block<'_>, MAX_BLOCKS>> {
    match raw {
        Some(raw) => serde_json::from_str(raw.get()),
        None => Ok(Capped { items: Vec::new(), more: false }),
    }
}

/// The tokens so far. An event may report some of the counts only.
#[derive(Debug, Default)]
pub struct Counts {
    input: u64,
    /// Tokens written to the cache. Like those read from it, not part of `input`.
    cache_written: u64,
    cache_read: u64,
    output: u64,
    thinking: u64,
}

#[derive(Deserialize)]
struct Usage<'a> {
    #[serde(borrow)]
    input_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_creation_input_tokens: Raw<'a>,
    #[serde(borrow)]
    cache_read_input_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens: Raw<'a>,
    #[serde(borrow)]
    output_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    thinking_tokens: Raw<'a>,
}

impl Counts {
    /// Adds the counts of an event; `None` if it has none.
    pub fn update(&mut self, raw: Raw<'_>) -> Option<TokenUsage> {
        let usage: Usage<'_> = object(raw)?;
        let details: Details<'_> = object(usage.output_tokens_details).unwrap_or_default();
        for (count, reported) in [
            (&mut self.input, usage.input_tokens),
            (&mut self.cache_written, usage.cache_creation_input_tokens),
            (&mut self.cache_read, usage.cache_read_input_tokens),
            (&mut self.output, usage.output_tokens),
            (&mut self.thinking, details.thinking_tokens),
        ] {
            // A later zero means that this event does not count them.
            *count = number(reported).filter(|reported| *reported > 0).unwrap_or(*count);
        }
        let cached = self.cache_written.saturating_add(self.cache_read);
        Some(TokenUsage {
            input_tokens: self.input.saturating_add(cached),
            output_tokens: self.output,
            cached_input_tokens: self.cache_read,
            cache_write_tokens: self.cache_written,
            reasoning_tokens: self.thinking,
        })
    }
}
