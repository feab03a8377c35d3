//! Reads the chunks of a response.

use serde_json::value::RawValue;

use super::chunk::{
    self, Candidate, Chunk, Content, FunctionCall, MAX_PARTS, Part, PromptFeedback,
};
use super::request;
use crate::chat::{NativePart, ToolCall};
use crate::provider::answer::{AnswerBuilder, BodyError};
use crate::provider::calls::CallFragment;
use crate::provider::finish::Cause;
use crate::provider::json::{self, is_given, number};
use crate::provider::protocol::{ChunkParser, Progress};
use crate::provider::request::OnDelta;
use crate::provider::server_error::ServerError;

#[derive(Debug, Default)]
pub struct GeminiParser {
    /// In order of arrival: the server expects them back in this order. Calls and parts with a
    /// signature are kept exactly as they arrived, since the signature covers them.
    parts: Vec<NativePart>,
    /// The number of function calls so far.
    calls: u64,
}

impl ChunkParser for GeminiParser {
    fn read(
        &mut self,
        json: &[u8],
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<Progress, BodyError> {
        let chunk: Chunk<'_> = json::document(json)?;
        let is_error =
            chunk.candidates.is_none() && (is_given(chunk.message) || is_given(chunk.detail));
        if is_given(chunk.error) || is_error {
            return Err(BodyError::Server(ServerError::from_body(json)));
        }
        answer.count(chunk::usage(chunk.usage_metadata), on_delta);
        if let Some(feedback) = json::object::<PromptFeedback<'_>>(chunk.prompt_feedback) {
            blocked(&feedback, answer)?;
        }
        let candidates = chunk.candidates.map(|candidates| candidates.items).unwrap_or_default();
        if candidates.is_empty() {
            answer.keep_unrecognized(json);
        }
        // crew asks for one candidate only.
        let first = |candidate: &&Candidate<'_>| number(candidate.index).unwrap_or(0) == 0;
        if let Some(candidate) = candidates.iter().find(first) {
            answer.begin();
            if let Some(content) = json::object::<Content<'_>>(candidate.content) {
                self.content(content, answer, on_delta)?;
            }
            let reason = json::text(candidate.finish_reason)?;
            if reason != "FINISH_REASON_UNSPECIFIED" {
                let message = json::text(candidate.finish_message)?;
                answer.finish("finishReason", &reason, &message);
            }
        }
        Ok(Progress::More)
    }

    /// A call always arrives whole.
    fn may_end(&self, answer: &AnswerBuilder) -> bool {
        answer.has_calls()
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        if calls.is_empty() { Vec::new() } else { self.parts.clone() }
    }
}

impl GeminiParser {
    fn content(
        &mut self,
        content: Content<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let Some(parts) = content.parts else { return Ok(()) };
        if parts.more {
            return Err(BodyError::TooManyBlocks(MAX_PARTS));
        }
        for raw in parts.items {
            if let Some(part) = json::object(Some(raw)) {
                self.part(raw, &part, answer, on_delta)?;
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        raw: &RawValue,
        part: &Part<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        if let Some(call) = json::object::<FunctionCall<'_>>(part.function_call) {
            self.call(&call, answer)?;
            return self.keep(raw, answer);
        }
        let text = json::piece(part.text)?;
        let start = answer.emitted();
        if part.thought.is_some_and(|thought| thought.get() == "true") {
            answer.spend(text.whole().len())?;
        } else {
            answer.add_text(text, on_delta)?;
        }
        let end = answer.emitted();
        if is_given(part.thought_signature) {
            return self.keep(raw, answer);
        }
        match self.parts.last_mut() {
            Some(NativePart::Text(range)) => range.end = end,
            _ if start < end => self.parts.push(NativePart::Text(start..end)),
            _ => {}
        }
        Ok(())
    }

    fn call(
        &mut self,
        call: &FunctionCall<'_>,
        answer: &mut AnswerBuilder,
    ) -> Result<(), BodyError> {
        self.calls += 1;
        let mut id = json::text(call.id)?;
        if id.is_empty() {
            id = format!("{}{}", request::OWN_ID, self.calls).into();
        }
        // Distinct numbers keep fragments of two calls apart.
        answer.add_call(CallFragment {
            index: Some(self.calls),
            id: &id,
            name: &json::text(call.name)?,
            arguments: json::arguments(call.args)?,
        })?;
        Ok(())
    }

    fn keep(&mut self, raw: &RawValue, answer: &mut AnswerBuilder) -> Result<(), BodyError> {
        answer.spend(raw.get().len())?;
        self.parts.push(NativePart::Json(raw.get().to_owned()));
        Ok(())
    }
}

fn blocked(feedback: &PromptFeedback<'_>, answer: &mut AnswerBuilder) -> Result<(), BodyError> {
    let reason = json::text(feedback.block_reason)?;
    if !matches!(&*reason, "" | "BLOCK_REASON_UNSPECIFIED") {
        let message = json::text(feedback.block_reason_message)?;
        let message = if message.is_empty() { "" } else { &format!(": {message}") };
        let words = format!("blockReason: {reason}{message}");
        answer.withhold(Cause::PromptBlocked, words);
        answer.finish("blockReason", "content_filter", "");
    }
    Ok(())
}
