//! One model call: what goes in, what comes out, and what can go wrong.
//!
//! A provider makes exactly one attempt. Retries, the agent's deadline and cancellation are the
//! agent's; a call is cancelled by dropping its future, which closes its connection.

mod endpoint;
mod failure;
pub mod governor;
mod http;
pub mod offline;
pub mod openai;
mod quote;
mod reset;
pub(crate) mod sse;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::report::{ErrorKind, Scope};

pub use http::SetupError;

use crate::plan::ProviderPlan;

/// The providers of these plans, in their order, all with one HTTP client. Asks no server anything.
pub fn connect(plans: &[ProviderPlan]) -> Result<Vec<Arc<dyn Provider>>, SetupError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let client = http::client(plans)?;
    plans
        .iter()
        .map(|plan| Ok(Arc::new(openai::OpenAi::new(plan, client.clone())?) as Arc<dyn Provider>))
        .collect()
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
    /// What a token is in English text, roughly.
    const BYTES_PER_TOKEN: usize = 4;

    /// About what the call will take at most, before anything is known of its answer.
    pub fn estimate(&self) -> TokenUsage {
        let message = |message: &Message| match message {
            Message::System(text) | Message::User(text) => text.len(),
            Message::Assistant { text, tool_calls } => {
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
            cached_input_tokens: 0,
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
    },
    /// The result of one tool call. Those of one turn follow their assistant message in order.
    Tool {
        call: ToolCall,
        output: String,
    },
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
    pub output_tokens: u64,
    /// Of `input_tokens`, those read from the server's cache.
    pub cached_input_tokens: u64,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatReply {
    /// Whether any text was told.
    pub has_text: bool,
    pub tool_calls: Vec<ToolCall>,
    pub finish_reason: Option<String>,
    pub usage: TokenUsage,
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
