//! The JSON of one chunk, or of a whole response.

use serde::Deserialize;

use crate::provider::calls::MAX_CALLS;
use crate::provider::json::{Capped, Raw};

#[derive(Deserialize)]
pub struct Chunk<'a> {
    #[serde(borrow)]
    pub choices: Option<Capped<Choice<'a>, 1>>,
    #[serde(borrow)]
    pub usage: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    #[serde(borrow)]
    pub object: Raw<'a>,
    /// In an error without an `error` object.
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(borrow)]
    pub detail: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Choice<'a> {
    #[serde(borrow)]
    pub delta: Option<Delta<'a>>,
    /// Replaces `delta` in a response that is not streamed. Some servers repeat the whole answer
    /// here in the last chunk.
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
    pub reasoning_details: Raw<'a>,
    #[serde(borrow)]
    pub tool_calls: Option<Capped<Fragment<'a>, MAX_CALLS>>,
}

/// A fragment of a tool call.
#[derive(Deserialize)]
pub struct Fragment<'a> {
    #[serde(borrow)]
    pub index: Raw<'a>,
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub function: Option<Function<'a>>,
    /// What the server wants back with the call.
    #[serde(borrow)]
    pub extra_content: Raw<'a>,
}

#[derive(Default, Deserialize)]
pub struct Function<'a> {
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub arguments: Raw<'a>,
}
