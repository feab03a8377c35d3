//! The vocabulary of a conversation with a model: messages, tools, calls and token counts.

use std::ops::Range;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::secret::Secrets;
use crate::untrusted::Untrusted;

#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    System(String),
    User(String),
    /// Files of the user. They belong to the message of the user that follows.
    Files(Vec<Attachment>),
    /// Images that tools returned. They follow the results of their turn.
    ToolImages(Vec<Attachment>),
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
    /// A turn without parts of its server's own form.
    pub fn assistant(text: String, tool_calls: Vec<ToolCall>) -> Self {
        Self::Assistant { text, tool_calls, native: None }
    }
}

/// A turn exactly as its server sent it, for servers that expect it back so: reasoning with its
/// signatures, in its place among text and calls. Never shown, nor sent to another model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeTurn {
    /// The model that sent it, as `provider/model`. No other understands it.
    pub model_ref: Arc<str>,
    pub parts: Arc<[NativePart]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativePart {
    /// Its meaning is the API's.
    Json(String),
    /// A part of the turn's text, which is kept there only.
    Text(Range<usize>),
}

/// The description of a tool for the model.
#[derive(Debug, Clone)]
pub struct ToolSpec {
    pub name: String,
    pub description: String,
    /// JSON Schema of an object: `type`, `properties`, `required`, `additionalProperties: false`.
    pub parameters: Arc<Value>,
}

/// An image or a PDF for a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    pub name: String,
    pub media_type: MediaType,
    /// A `data:` URL.
    pub url: Arc<str>,
}

impl Attachment {
    /// `data` in base64.
    pub fn new(name: String, media_type: MediaType, data: &str) -> Self {
        Self { name, media_type, url: format!("data:{};base64,{data}", media_type.name()).into() }
    }

    /// The content in base64.
    pub fn data(&self) -> &str {
        self.url.split_once(',').map_or("", |(_, data)| data)
    }
}

/// The types of files that models take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    Png,
    Jpeg,
    Webp,
    Gif,
    Pdf,
}

impl MediaType {
    pub const ALL: [Self; 5] = [Self::Png, Self::Jpeg, Self::Webp, Self::Gif, Self::Pdf];

    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Pdf => "application/pdf",
        }
    }

    pub fn is_image(self) -> bool {
        self != Self::Pdf
    }
}

/// How much a model may reason, from the least to the most. APIs have other scales of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    pub const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// The name in the crew file and in most APIs.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }
}

/// Whether crew marks prompts for the server's cache, where it has to be asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    #[default]
    Auto,
    Off,
}

/// A tool call as a model asked for it: neither redacted nor checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedCall(ToolCall);

impl RequestedCall {
    pub fn new(call: ToolCall) -> Self {
        Self(call)
    }

    /// The call as it was requested, for the conversation with the model that did.
    pub fn to_its_source(&self) -> &ToolCall {
        &self.0
    }

    /// The call without secrets: a model that repeats a key must not bring it to a tool.
    pub fn redact(self, secrets: &Secrets) -> ToolCall {
        let ToolCall { id, name, arguments } = self.0;
        ToolCall { id, name: secrets.redact(name), arguments: secrets.redact_json(arguments) }
    }
}

/// A tool call of a model. Its name and arguments have not been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    /// The server's id, or one made up where it sent none; unique within its turn.
    pub id: String,
    pub name: String,
    /// The text of a JSON object, as far as the model kept to the protocol.
    pub arguments: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TokenUsage {
    /// Cached ones included.
    pub input_tokens: u64,
    /// Reasoning included.
    pub output_tokens: u64,
    /// The part of `input_tokens` from the server's cache.
    pub cached_input_tokens: u64,
    /// The part of `input_tokens` that was written to the server's cache.
    pub cache_write_tokens: u64,
    /// The part of `output_tokens` for reasoning, if the server counts it separately.
    pub reasoning_tokens: u64,
}

impl TokenUsage {
    /// These counts of a call, then later ones of the same call. A later zero means that the server
    /// has not counted, and input never shrinks within a call.
    pub fn then(self, later: Self) -> Self {
        let output_tokens = match later.output_tokens {
            0 => self.output_tokens,
            counted => counted,
        };
        Self {
            input_tokens: self.input_tokens.max(later.input_tokens),
            output_tokens,
            cached_input_tokens: self.cached_input_tokens.max(later.cached_input_tokens),
            cache_write_tokens: self.cache_write_tokens.max(later.cache_write_tokens),
            reasoning_tokens: self.reasoning_tokens.max(later.reasoning_tokens),
        }
    }

    /// Input and output.
    pub fn total(self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatReply {
    /// Whether any text was emitted.
    pub has_text: bool,
    pub tool_calls: Vec<RequestedCall>,
    /// In the words of OpenAI's protocol where they have one for it.
    pub finish_reason: Option<Untrusted>,
    pub usage: TokenUsage,
    pub native: Option<NativeTurn>,
}
