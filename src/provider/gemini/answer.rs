//! What the chunks of an answer say.

use serde_json::value::RawValue;

use super::chunk::{self, Candidate, Chunk, Content, FunctionCall, Part, PromptFeedback};
use super::request;
use crate::chat::{NativePart, ToolCall};
use crate::provider::calls::Piece;
use crate::provider::draft::{Draft, Fault, OnDelta, Refusal, Stop};
use crate::provider::failure::ServerError;
use crate::provider::json::{self, is_given, number};
use crate::provider::protocol::Parser;
use crate::report::ErrorKind;

#[derive(Debug, Default)]
pub struct Answer {
    /// In the order they came, which is how the server wants them back. Calls, and parts with a
    /// signature, just as they came: it vouches for its part.
    parts: Vec<NativePart>,
    /// Function calls so far.
    calls: u64,
}

impl Parser for Answer {
    fn read(
        &mut self,
        json: &[u8],
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<bool, Stop> {
        let chunk: Chunk<'_> = json::document(json)?;
        let is_error =
            chunk.candidates.is_none() && (is_given(chunk.message) || is_given(chunk.detail));
        if is_given(chunk.error) || is_error {
            return Err(Fault::Server(ServerError::from_body(json)).into());
        }
        if let Some(usage) = chunk::usage(chunk.usage_metadata) {
            draft.count(usage, on_delta);
        }
        if let Some(feedback) = json::object::<PromptFeedback<'_>>(chunk.prompt_feedback) {
            blocked(&feedback, draft)?;
        }
        let candidates = chunk.candidates.map(|candidates| candidates.items).unwrap_or_default();
        if candidates.is_empty() {
            draft.keep_stranger(json);
        }
        // The others were not asked for.
        let first = |candidate: &&Candidate<'_>| number(candidate.index).unwrap_or(0) == 0;
        if let Some(candidate) = candidates.iter().find(first) {
            draft.is_answer();
            if let Some(content) = json::object::<Content<'_>>(candidate.content) {
                self.content(content, draft, on_delta)?;
            }
            let reason = json::text(candidate.finish_reason)?;
            let words = json::text(candidate.finish_message)?;
            finish(&reason, &words, draft);
        }
        Ok(false)
    }

    /// Calls come whole, so one that has come can be made.
    fn may_end(&self, draft: &Draft) -> bool {
        draft.has_calls()
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        if calls.is_empty() { Vec::new() } else { self.parts.clone() }
    }
}

impl Answer {
    fn content(
        &mut self,
        content: Content<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        let Some(parts) = content.parts else { return Ok(()) };
        if parts.more {
            return Err(Fault::TooManyParts.into());
        }
        for raw in parts.items {
            if let Some(part) = json::object(Some(raw)) {
                self.part(raw, &part, draft, on_delta)?;
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        raw: &RawValue,
        part: &Part<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        if let Some(call) = json::object::<FunctionCall<'_>>(part.function_call) {
            self.call(&call, draft)?;
            return self.keep(raw, draft);
        }
        let text = json::text(part.text)?;
        let start = draft.told();
        if part.thought.is_some_and(|thought| thought.get() == "true") {
            draft.spend(text.len())?;
        } else {
            draft.add_text(&text, on_delta)?;
        }
        let end = draft.told();
        if is_given(part.thought_signature) {
            return self.keep(raw, draft);
        }
        match self.parts.last_mut() {
            Some(NativePart::Text(range)) => range.end = end,
            _ if start < end => self.parts.push(NativePart::Text(start..end)),
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, call: &FunctionCall<'_>, draft: &mut Draft) -> Result<(), Stop> {
        self.calls += 1;
        let mut id = json::text(call.id)?;
        if id.is_empty() {
            id = format!("{}{}", request::OWN_ID, self.calls).into();
        }
        // Each has a number of its own, so none is taken for the rest of the one before.
        draft.add_call(Piece {
            index: Some(self.calls),
            id: &id,
            name: &json::text(call.name)?,
            arguments: &json::arguments(call.args)?,
        })?;
        Ok(())
    }

    fn keep(&mut self, raw: &RawValue, draft: &mut Draft) -> Result<(), Stop> {
        draft.spend(raw.get().len())?;
        self.parts.push(NativePart::Json(raw.get().to_owned()));
        Ok(())
    }
}

fn blocked(feedback: &PromptFeedback<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let reason = json::text(feedback.block_reason)?;
    if matches!(&*reason, "" | "BLOCK_REASON_UNSPECIFIED") {
        return Ok(());
    }
    let words = told("blockReason", &reason, &json::text(feedback.block_reason_message)?);
    let what = "the server blocked the prompt";
    draft.finish("content_filter");
    draft.refuse(Refusal { kind: ErrorKind::BadRequest, retryable: false, what, words });
    Ok(())
}

fn finish(reason: &str, words: &str, draft: &mut Draft) {
    let refusal = |what, retryable| {
        let words = told("finishReason", reason, words);
        Refusal { kind: ErrorKind::InvalidResponse, retryable, what, words }
    };
    match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => {}
        "STOP" => draft.finish("stop"),
        "MAX_TOKENS" => draft.finish("length"),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => {
            draft.finish("content_filter");
            draft.refuse(refusal("the server blocked the answer", false));
        }
        "MISSING_THOUGHT_SIGNATURE" => {
            draft.finish(&reason.to_ascii_lowercase());
            draft.refuse(refusal("the server gave up the answer", false));
        }
        // Slips of the model, which it may not make again.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "OTHER" => {
            draft.finish(&reason.to_ascii_lowercase());
            draft.refuse(refusal("the server gave up the answer", true));
        }
        other => draft.finish(&other.to_ascii_lowercase()),
    }
}

fn told(key: &str, reason: &str, words: &str) -> String {
    if words.is_empty() { format!("{key}: {reason}") } else { format!("{key}: {reason}: {words}") }
}
