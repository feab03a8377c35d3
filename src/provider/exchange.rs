//! A model call as a recording holds it: the request as crew means it, whatever form a server gets,
//! and all that is known of the answer.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::error::ProviderError;
use super::request::ChatRequest;
use crate::chat::{
    Attachment, ChatReply, Message, NativePart, NativeTurn, RequestedCall, TokenUsage, ToolCall,
};
use crate::report::{ErrorKind, Scope};
use crate::secret::Secrets;
use crate::text::digest::hash;
use crate::untrusted::Untrusted;

/// What decides the answer of a model. Neither ids nor what a server wants back of its own turns:
/// both follow from earlier answers.
pub fn request(provider: &str, request: &ChatRequest<'_>) -> Value {
    let given = request.settings.given();
    let mut whole = json!({
        "model": format!("{provider}/{}", request.model),
        "messages": request.messages.iter().map(message).collect::<Value>(),
    });
    if !request.tools.is_empty() {
        let tools = request.tools.iter().map(|tool| {
            json!({"name": tool.name, "description": tool.description,
                "parameters": *tool.parameters})
        });
        whole["tools"] = tools.collect();
    }
    if let Some(schema) = request.output_schema {
        whole["output_schema"] = schema.schema().clone();
    }
    if !given.is_empty() {
        whole["settings"] = Value::Object(given);
    }
    whole
}

/// The key says who wrote it.
fn message(message: &Message) -> Value {
    match message {
        Message::System(text) => json!({ "system": text }),
        Message::User(text) => json!({ "user": text }),
        Message::Files(files) => json!({ "files": files.iter().map(file).collect::<Value>() }),
        Message::ToolImages(files) => {
            json!({ "tool_images": files.iter().map(file).collect::<Value>() })
        }
        Message::Assistant { text, tool_calls, .. } => {
            let call = |call: &ToolCall| json!({"name": call.name, "arguments": call.arguments});
            let calls = tool_calls.iter().map(call);
            json!({ "assistant": text, "tool_calls": calls.collect::<Value>() })
        }
        Message::Tool { call, output } => json!({ "tool": call.name, "output": output }),
    }
}

fn file(file: &Attachment) -> Value {
    let digest = hash(file.data());
    json!({"name": file.name, "media_type": file.media_type.name(), "sha256": digest})
}

/// The answer to a call, and how the call ended.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Response {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<String>,
    /// As the server counted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// Bytes of text, reasoning and tool calls.
    #[serde(skip_serializing_if = "is_zero")]
    pub written: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native: Option<Native>,
    /// Why the call failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<CallError>,
    /// The agent was stopped during the call.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The call was not made.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_made: bool,
}

fn is_zero(bytes: &usize) -> bool {
    *bytes == 0
}

#[derive(Debug, Serialize, Deserialize)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Native {
    model_ref: String,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Json(String),
    /// Start and end of a part of the text, in bytes.
    Text(usize, usize),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct CallError {
    kind: ErrorKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scope: Option<Scope>,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finish_reason: Option<String>,
}

impl Response {
    /// That of a call which was not made, for this reason.
    pub fn not_made(error: Option<&ProviderError>, known: &Secrets) -> Value {
        let error = error.map(|error| CallError::new(error, known));
        let response = Self { not_made: true, error, ..Self::default() };
        serde_json::to_value(response).unwrap_or_default()
    }

    /// Adds how the call ended. `None`: it was stopped.
    pub fn end(
        mut self,
        result: Option<&Result<ChatReply, ProviderError>>,
        known: &Secrets,
    ) -> Value {
        match result {
            Some(Ok(reply)) => self.add_reply(reply, known),
            Some(Err(error)) => self.error = Some(CallError::new(error, known)),
            None => self.stopped = true,
        }
        let is_whole = matches!(result, Some(Ok(_)));
        let text = std::mem::take(&mut self.text);
        self.text = match is_whole {
            true => known.redact(text),
            false => Untrusted::new(text).redact_beginning(known),
        };
        serde_json::to_value(self).unwrap_or_default()
    }

    fn add_reply(&mut self, reply: &ChatReply, known: &Secrets) {
        let calls = reply.tool_calls.iter().map(|call| {
            let ToolCall { id, name, arguments } = call.clone().redact(known);
            Call { id, name, arguments }
        });
        self.tool_calls = calls.collect();
        self.finish_reason = reply.finish_reason.clone().map(|reason| reason.redact(known));
        // A turn with a secret cannot be sent back as it was.
        let is_clean = known.redact(self.text.clone()) == self.text;
        self.native = reply.native.as_ref().filter(|_| is_clean).and_then(|turn| {
            let parts = turn.parts.iter().map(|part| match part {
                NativePart::Text(range) => Some(Part::Text(range.start, range.end)),
                NativePart::Json(text) => {
                    let is_clean = known.redact_json(text.clone()) == *text;
                    is_clean.then(|| Part::Json(text.clone()))
                }
            });
            let model_ref = turn.model_ref.to_string();
            Some(Native { model_ref, parts: parts.collect::<Option<_>>()? })
        });
    }

    /// The reply of a call that did not fail.
    pub fn into_reply(self) -> ChatReply {
        let Self { text, tool_calls, finish_reason, usage, native, .. } = self;
        let call =
            |Call { id, name, arguments }| RequestedCall::new(ToolCall { id, name, arguments });
        let native = native.map(|Native { model_ref, parts }| {
            let part = |part| match part {
                Part::Json(text) => NativePart::Json(text),
                // Someone may have edited the text.
                Part::Text(start, end) => NativePart::Text(match text.get(start..end) {
                    Some(_) => start..end,
                    None => 0..0,
                }),
            };
            let parts = parts.into_iter().map(part).collect();
            NativeTurn { model_ref: model_ref.into(), parts }
        });
        ChatReply {
            has_text: !text.is_empty(),
            tool_calls: tool_calls.into_iter().map(call).collect(),
            finish_reason: finish_reason.map(Untrusted::new),
            usage: usage.unwrap_or_default(),
            native,
        }
    }
}

impl CallError {
    fn new(error: &ProviderError, known: &Secrets) -> Self {
        Self {
            kind: error.kind,
            scope: error.scope,
            message: error.message.clone().redact_excerpt(known),
            finish_reason: error.finish_reason.clone().map(|reason| reason.redact(known)),
        }
    }

    /// The error again; `retryable`: another attempt followed.
    pub fn into_error(self, retryable: bool) -> ProviderError {
        ProviderError {
            scope: self.scope,
            retryable,
            finish_reason: self.finish_reason.map(Untrusted::new),
            is_recorded: true,
            ..ProviderError::new(self.kind, self.message)
        }
    }
}
