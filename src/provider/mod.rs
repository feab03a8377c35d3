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
pub mod http;
mod json;
pub mod offline;
pub(crate) mod openai;
pub(crate) mod protocol;
mod quote;
pub(crate) mod reading;
mod remote;
mod reset;
pub(crate) mod sse;
#[cfg(test)]
mod testing;
mod wire;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::report::{ErrorKind, Scope};
use crate::structured::Schema;

pub use http::SetupError;

use self::protocol::Protocol;
use crate::plan::{Api, ProviderPlan};

/// The providers of these plans, in their order, all with one HTTP client. Asks no server anything.
pub fn connect(plans: &[ProviderPlan]) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let client = http::client(plans)?;
    let connect = |plan: &ProviderPlan| {
        let remote = remote::Remote::new(plan, client.clone(), speaker(plan.api))?;
        Ok(Arc::new(remote) as Arc<dyn Provider>)
    };
    plans.iter().map(connect).collect()
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

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    System(String),
    User(String),
    Assistant {
        text: String,
        tool_calls: Vec<ToolCall>,
        native: Option<NativeTurn>,
    },
    /// The result of one tool call. Those of one turn follow their assistant message in order.
    Tool {
        call: ToolCall,
        output: String,
    },
}

impl Message {
    /// A turn of which text and calls say it all.
    pub fn assistant(text: String, tool_calls: Vec<ToolCall>) -> Self {
        Self::Assistant { text, tool_calls, native: None }
    }
}

/// A turn as its server sent it, for servers that want it back just so: reasoning with its
/// signatures, in its place among text and calls. Never shown to anybody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeTurn {
    /// The provider and the model that sent it, as a user writes them. No other understands it.
    pub by: Arc<str>,
    pub parts: Arc<[NativePart]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativePart {
    /// What it means is the protocol's.
    Json(String),
    /// Where it stands in the turn's text, which is not held twice.
    Text(Range<usize>),
}

/// What the model is told of a tool.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of an object: `type`, `properties`, `required`, `additionalProperties: false`.
    pub parameters: Arc<Value>,
}

/// A tool call as a model asked for it. Nothing of it has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The server's id, or one made up where it sent none; unique within its turn.
    pub id: String,
    pub name: String,
    /// The text of a JSON object, as far as the model kept to the protocol.
    pub arguments: String,
}

#[derive(Debug, Clone, Copy)]
pub enum ChatDelta<'a> {
    /// The whole request has left; told before anything else, where there is a server at all.
    Sent,
    Text(&'a str),
    /// Tokens of this call so far: each replaces the one before.
    Usage(TokenUsage),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokenUsage {
    /// All that was read, from a cache or not.
    pub input_tokens: u64,
    /// All that was written, reasoning included.
    pub output_tokens: u64,
    /// Of `input_tokens`, those read from the server's cache.
    pub cached_input_tokens: u64,
    /// Of `output_tokens`, those of reasoning, where the server counts them apart.
    pub reasoning_tokens: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatReply {
    /// Whether any text was told.
    pub has_text: bool,
    pub tool_calls: Vec<ToolCall>,
    /// In the words of OpenAI's protocol where they have one for it.
    pub finish_reason: Option<String>,
    pub usage: TokenUsage,
    pub native: Option<NativeTurn>,
}

/// Why a call failed. `message` carries the server's own words and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    pub message: String,
    /// Another attempt may succeed, and nothing of an answer had arrived.
    pub retryable: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How the server ended an answer that it, or the model, withheld or spoilt.
    pub finish_reason: Option<String>,
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
