//! The JSON of one chunk, or of a whole response.

use serde::Deserialize;

use crate::chat::TokenUsage;
use crate::provider::calls::MAX_CALLS;
use crate::provider::json::{Capped, Raw, number, object};

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
    #[serde(borrow)]
    completion_tokens_details: Raw<'a>,
}

#[derive(Default, Deserialize)]
struct UsageDetails<'a> {
    #[serde(borrow)]
    cached_tokens: Raw<'a>,
    #[serde(borrow)]
    reasoning_tokens: Raw<'a>,
}

/// The token counts; `None` if there are none.
pub fn usage(raw: Raw<'_>) -> Option<TokenUsage> {
    let counts: UsageCounts<'_> = object(raw)?;
    let input = number(counts.prompt_tokens.or(counts.input_tokens));
    let output = number(counts.completion_tokens.or(counts.output_tokens));
    let details = |raw| object::<UsageDetails<'_>>(raw).unwrap_or_default();
    (input.is_some() || output.is_some()).then(|| TokenUsage {
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        cached_input_tokens: number(details(counts.prompt_tokens_details).cached_tokens)
            .unwrap_or_default(),
        reasoning_tokens: number(details(counts.completion_tokens_details).reasoning_tokens)
            .unwrap_or_default(),
    })
}
