//! Helpers for the tests of all APIs: decode a body, make a request.

use serde_json::Value;

use super::answer::BodyError;
use super::body_decoder::BodyDecoder;
use super::protocol::{Progress, Protocol};
use super::quirks::Quirks;
use super::request::{ChatDelta, ChatRequest};
use crate::chat::{CacheMode, ChatReply, Message, TokenUsage, ToolCall, ToolSpec};
use crate::plan::AgentSettings;
use crate::untrusted::Untrusted;

/// The model that answers in the tests.
pub const MODEL_REF: &str = "here/m";

/// The deltas of a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    pub text: String,
    pub usage: TokenUsage,
}

/// Decodes a whole body.
pub fn read(
    protocol: &Protocol,
    bytes: &[u8],
    max_answer: usize,
) -> (Result<ChatReply, BodyError>, Emitted) {
    let mut decoder = BodyDecoder::new(max_answer, (protocol.parser)());
    let mut emitted = Emitted::default();
    let mut on_delta = |delta: ChatDelta<'_>| match delta {
        ChatDelta::Text(text) => emitted.text.push_str(text),
        ChatDelta::Usage(usage) => emitted.usage = usage,
        ChatDelta::Sent | ChatDelta::Written { .. } | ChatDelta::Note(_) => {}
    };
    let result =
        decoder
            .push(bytes, &mut on_delta)
            .and_then(|progress| {
                if progress == Progress::Complete { Ok(()) } else { decoder.end(&mut on_delta) }
            })
            .and_then(|()| decoder.into_reply(MODEL_REF));
    (result, emitted)
}

/// A complete stream with the data of these events.
pub fn events(data: &[&str]) -> Vec<u8> {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>().into_bytes()
}

/// The body of a request to [`MODEL_REF`].
pub fn body(protocol: &Protocol, request: &ChatRequest<'_>) -> Value {
    let body = (protocol.request)(request, MODEL_REF, Quirks::default()).unwrap_or_default();
    serde_json::from_slice(&body).unwrap_or_default()
}

pub fn request<'a>(messages: &'a [Message], tools: &'a [ToolSpec]) -> ChatRequest<'a> {
    ChatRequest {
        tools,
        settings: AgentSettings { cache: CacheMode::Off, ..AgentSettings::default() },
        ..ChatRequest::new("m", messages)
    }
}

/// The calls of an answer, as the model asked for them.
pub fn calls(reply: &ChatReply) -> Vec<ToolCall> {
    reply.tool_calls.iter().map(|call| call.to_its_source().clone()).collect()
}

pub fn finish_reason(reply: &ChatReply) -> Option<&str> {
    reply.finish_reason.as_ref().map(Untrusted::to_its_source)
}
