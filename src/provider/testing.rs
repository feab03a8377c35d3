//! For the tests of all protocols: a body read, a request to be written.

use std::time::Duration;

use super::draft::Fault;
use super::protocol::Protocol;
use super::reading::Reading;
use super::{ChatDelta, ChatRequest};
use crate::chat::{ChatReply, Message, TokenUsage, ToolCall, ToolSpec};
use crate::untrusted::Untrusted;

/// The provider and model that the tests' answers are by.
pub const BY: &str = "here/m";

/// What was told while a body was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    pub usage: TokenUsage,
}

/// What came of a body.
pub fn read(
    protocol: &dyn Protocol,
    bytes: &[u8],
    max_answer: usize,
) -> (Result<ChatReply, Fault>, Told) {
    let mut reading = Reading::new(max_answer, protocol.parser());
    let mut told = Told::default();
    let mut on_delta = |delta: ChatDelta<'_>| match delta {
        ChatDelta::Text(text) => told.text.push_str(text),
        ChatDelta::Usage(usage) => told.usage = usage,
        ChatDelta::Sent => {}
    };
    let result = reading
        .push(bytes, &mut on_delta)
        .and_then(|done| if done { Ok(()) } else { reading.end(&mut on_delta) })
        .and_then(|()| reading.into_reply(BY));
    (result, told)
}

/// The calls of an answer, as the model asked for them.
pub fn calls(reply: &ChatReply) -> Vec<ToolCall> {
    reply.tool_calls.iter().map(|call| call.to_its_source().clone()).collect()
}

pub fn finish_reason(reply: &ChatReply) -> Option<&str> {
    reply.finish_reason.as_ref().map(Untrusted::to_its_source)
}

/// A whole stream of these events' data.
pub fn events(data: &[&str]) -> Vec<u8> {
    data.iter().map(|data| format!("data: {data}\n\n")).collect::<String>().into_bytes()
}

pub fn request<'a>(messages: &'a [Message], tools: &'a [ToolSpec]) -> ChatRequest<'a> {
    ChatRequest {
        model: "m",
        messages,
        tools,
        output_schema: None,
        temperature: None,
        max_output_tokens: None,
        max_answer: 1024,
        idle_timeout: Duration::from_secs(1),
    }
}
