//! The JSON of one chunk. A whole response has the same form.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::chat::TokenUsage;
use crate::provider::json::{Capped, Raw, number, object};

/// crew asks for one only.
const MAX_CANDIDATES: usize = 8;
/// The limit of parts in one chunk. Servers send far fewer.
pub const MAX_PARTS: usize = 512;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Chunk<'a> {
    #[serde(borrow)]
    pub candidates: Option<Capped<Candidate<'a>, MAX_CANDIDATES>>,
    #[serde(borrow)]
    pub prompt_feedback: Raw<'a>,
    #[serde(borrow)]
    pub usage_metadata: Raw<'a>,
    #[serde(borrow)]
    pub error: Raw<'a>,
    /// In an error without an `error` object.
    #[serde(borrow)]
    pub message: Raw<'a>,
    #[serde(borrow)]
    pub detail: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate<'a> {
    #[serde(borrow)]
    pub index: Raw<'a>,
    #[serde(borrow)]
    pub content: Raw<'a>,
    #[serde(borrow)]
    pub finish_reason: Raw<'a>,
    #[serde(borrow)]
    pub finish_message: Raw<'a>,
}

#[derive(Deserialize)]
pub struct Content<'a> {
    #[serde(borrow)]
    pub parts: Option<Capped<&'a RawValue, MAX_PARTS>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part<'a> {
    #[serde(borrow)]
    pub text: Raw<'a>,
    #[serde(borrow)]
    pub thought: Raw<'a>,
    #[serde(borrow)]
    pub thought_signature: Raw<'a>,
    #[serde(borrow)]
    pub function_call: Raw<'a>,
}

#[derive(Deserialize)]
pub struct FunctionCall<'a> {
    #[serde(borrow)]
    pub id: Raw<'a>,
    #[serde(borrow)]
    pub name: Raw<'a>,
    #[serde(borrow)]
    pub args: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PromptFeedback<'a> {
    #[serde(borrow)]
    pub block_reason: Raw<'a>,
    #[serde(borrow)]
    pub block_reason_message: Raw<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata<'a> {
    #[serde(borrow)]
    prompt_token_count: Raw<'a>,
    #[serde(borrow)]
    tool_use_prompt_token_count: Raw<'a>,
    #[serde(borrow)]
    cached_content_token_count: Raw<'a>,
    #[serde(borrow)]
    candidates_token_count: Raw<'a>,
    #[serde(borrow)]
    thoughts_token_count: Raw<'a>,
    #[serde(borrow)]
    total_token_count: Raw<'a>,
}

/// The counts of the whole answer so far.
pub fn usage(raw: Raw<'_>) -> Option<TokenUsage> {
    let counts: UsageMetadata<'_> = object(raw)?;
    let count = |raw| number(raw).unwrap_or_default();
    let reasoning = count(counts.thoughts_token_count);
    let input =
        count(counts.prompt_token_count).saturating_add(count(counts.tool_use_prompt_token_count));
    let output = count(counts.candidates_token_count).saturating_add(reasoning);
    // Some models think without a count of it; only the total shows it.
    let with_reasoning = count(counts.total_token_count).saturating_sub(input);
    Some(TokenUsage {
        input_tokens: input,
        output_tokens: output.max(with_reasoning),
        cached_input_tokens: count(counts.cached_content_token_count),
        cache_write_tokens: 0,
        reasoning_tokens: reasoning,
    })
}
