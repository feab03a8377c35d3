//! One model call: what goes in, what comes out, and what can go wrong.
//!
//! A provider makes exactly one attempt. Retries, the agent's deadline and cancellation are the
//! agent's; a call is cancelled by dropping its future, which closes its connection.

pub(crate) mod anthropic;
mod body;
pub(crate) mod calls;
pub(crate) mod dialect;
pub(crate) mod draft;
mod endpoint;
mod failure;
mod format;
pub(crate) mod gemini;
pub mod governor;
mod json;
pub mod offline;
pub(crate) mod openai;
pub(crate) mod protocol;
pub(crate) mod reading;
mod remote;
mod retry_after;
pub(crate) mod sse;
#[cfg(test)]
mod testing;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::Url;

use crate::chat::{ChatReply, Message, TokenUsage, ToolSpec};
use crate::net::{self, SetupError};
use crate::report::{ErrorKind, Scope};
use crate::structured::Schema;
use crate::untrusted::Untrusted;

use self::protocol::Protocol;
use crate::plan::ProviderPlan;
use crate::vendor::Api;

/// The providers of these plans, in their order, all with one HTTP client. Asks no server anything.
pub fn connect(plans: &[ProviderPlan]) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let urls: Vec<Url> = plans.iter().map(|plan| plan.base_url.clone()).collect();
    let client = net::build(net::builder(&urls)?)?;
    let connect = |plan: &ProviderPlan| {
        let remote = remote::Remote::new(plan, client.clone(), speaker(plan.api));
        Arc::new(remote) as Arc<dyn Provider>
    };
    Ok(plans.iter().map(connect).collect())
}

fn speaker(api: Api) -> Box<dyn Protocol> {
    match api {
        Api::OpenAi => Box::new(openai::OpenAi),
        Api::Anthropic => Box::new(anthropic::Anthropic),
        Api::Gemini => Box::new(gemini::Gemini),
    }
}

/// A model server, or what stands in for one.
pub trait Provider: Send + Sync {
    /// Makes one call. Text and token counts are told through `on_delta` as they arrive, so that
    /// they are known even when the call fails or is dropped half-way. Text is told only so: who
    /// is told keeps it, and nobody holds it twice.
    fn chat<'a>(
        &'a self,
        request: ChatRequest<'a>,
        on_delta: &'a mut (dyn FnMut(ChatDelta<'_>) + Send),
    ) -> BoxFuture<'a, Result<ChatReply, ProviderError>>;
}

#[derive(Debug, Clone)]
pub struct ChatRequest<'a> {
    /// The model's name as its server knows it, without the provider.
    pub model: &'a str,
    pub messages: &'a [Message],
    pub tools: &'a [ToolSpec],
    /// What the final answer has to fit. The messages say so already; a protocol that has a way of
    /// its own to ask for it may use that as well.
    pub output_schema: Option<&'a Schema>,
    pub temperature: Option<f64>,
    pub max_output_tokens: Option<u32>,
    /// Bytes of text and tool arguments together; what goes over is an `invalid_response`.
    pub max_answer: usize,
    /// Longest wait for the response's head, and then for each next piece of its body.
    pub idle_timeout: Duration,
}

impl ChatRequest<'_> {
    /// Output tokens to reckon with where nothing limits them.
    const USUAL_OUTPUT: u64 = 1024;
    /// And where it must not be more: only reasoning at length goes over.
    const LONG_OUTPUT: u64 = 8192;
    /// What a token is in English text, roughly.
    const BYTES_PER_TOKEN: usize = 4;

    /// About what the call will take, before anything is known of its answer.
    pub fn estimate(&self) -> TokenUsage {
        let message = |message: &Message| match message {
            Message::System(text) | Message::User(text) => text.len(),
            Message::Assistant { text, tool_calls, .. } => {
                text.len() + tool_calls.iter().map(|call| call.arguments.len()).sum::<usize>()
            }
            Message::Tool { output, .. } => output.len(),
        };
        let tool = |tool: &ToolSpec| tool.description.len() + tool.parameters.to_string().len();
        let bytes = self.messages.iter().map(message).sum::<usize>()
            + self.tools.iter().map(tool).sum::<usize>();
        TokenUsage {
            input_tokens: Self::tokens_in(bytes),
            output_tokens: self.max_output_tokens.map_or(Self::USUAL_OUTPUT, u64::from),
            ..TokenUsage::default()
        }
    }

    /// What the call will hardly go over. `longest`: output tokens of the model's longest answer so far.
    pub fn at_most(&self, estimate: TokenUsage, longest: u64) -> TokenUsage {
        let unbounded = || longest.max(Self::LONG_OUTPUT);
        TokenUsage {
            // Code, and text in other languages, is up to twice as many tokens.
            input_tokens: estimate.input_tokens.saturating_mul(2),
            output_tokens: self.max_output_tokens.map_or_else(unbounded, u64::from),
            ..estimate
        }
    }

    /// About as many tokens as this text is.
    pub fn tokens_in(bytes: usize) -> u64 {
        bytes.div_ceil(Self::BYTES_PER_TOKEN) as u64
    }
}

#[derive(Debug, Clone, Copy)]
pub enum ChatDelta<'a> {
    /// The whole request has left; told before anything else, where there is a server at all.
    Sent,
    Text(&'a str),
    /// Tokens of this call so far: each replaces the one before.
    Usage(TokenUsage),
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    /// Holds the server's own words.
    pub message: Untrusted,
    /// Another attempt may succeed, and nothing of an answer had arrived.
    pub retryable: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How the server ended an answer that it, or the model, withheld or spoilt.
    pub finish_reason: Option<Untrusted>,
    pub effect: Effect,
}

/// What a failed call says of the calls beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    #[default]
    Call,
    /// The endpoint takes no calls just now.
    Pause,
    /// No call for this model will succeed.
    Model,
    /// No call to this endpoint will, with this key.
    Endpoint,
}
