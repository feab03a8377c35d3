//! What the chunks of an answer say.

use std::ops::Range;

use serde_json::value::RawValue;

use super::chunk::{self, Candidate, Chunk, Content, FunctionCall, Part, PromptFeedback};
use super::request;
use crate::provider::ToolCall;
use crate::provider::calls::Piece;
use crate::provider::draft::{Draft, Fault, OnDelta, Refusal, excerpt};
use crate::provider::failure::ServerError;
use crate::provider::json::{self, is_given, number};
use crate::provider::protocol::Parser;
use crate::report::ErrorKind;

#[derive(Debug, Default)]
pub struct Answer {
    /// In the order they came, which is how the server wants them back.
    parts: Vec<Kept>,
    /// Function calls so far.
    calls: u64,
}

#[derive(Debug)]
enum Kept {
    /// Where it stands in the draft's text.
    Text(Range<usize>),
    /// A call, or a part with a signature: as it came, since a signature vouches for its part.
    Whole(String),
}

impl Parser for Answer {
    fn read(
        &mut self,
        json: &[u8],
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<bool, Fault> {
        let unreadable = |_| Fault::Unreadable(excerpt(json));
        let chunk: Chunk<'_> = serde_json::from_slice(json).map_err(unreadable)?;
        let is_error =
            chunk.candidates.is_none() && (is_given(chunk.message) || is_given(chunk.detail));
        if is_given(chunk.error) || is_error {
            return Err(Fault::Server(ServerError::from_body(json)));
        }
        if let Some(usage) = chunk::usage(chunk.usage_metadata) {
            draft.count(usage, on_delta);
        }
        if let Some(feedback) = json::object::<PromptFeedback<'_>>(chunk.prompt_feedback) {
            blocked(&feedback).map_err(unreadable)??;
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
                self.content(content, draft, on_delta).map_err(unreadable)??;
            }
            let reason = json::text(candidate.finish_reason).map_err(unreadable)?;
            let words = json::text(candidate.finish_message).map_err(unreadable)?;
            finish(&reason, &words, draft)?;
        }
        Ok(false)
    }

    /// Calls come whole, so one that has come can be made.
    fn may_end(&self, draft: &Draft) -> bool {
        draft.has_calls()
    }

    fn native(&self, text: &str, calls: &[ToolCall]) -> Vec<String> {
        if calls.is_empty() {
            return Vec::new();
        }
        let part = |kept: &Kept| match kept {
            Kept::Text(range) => {
                let text = text.get(range.clone()).filter(|text| !text.is_empty())?;
                serde_json::to_string(&request::text(text)).ok()
            }
            Kept::Whole(json) => Some(json.clone()),
        };
        self.parts.iter().filter_map(part).collect()
    }
}

impl Answer {
    /// The outer error is of JSON, the inner one of what it says.
    fn content(
        &mut self,
        content: Content<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> serde_json::Result<Result<(), Fault>> {
        let Some(parts) = content.parts else { return Ok(Ok(())) };
        if parts.more {
            return Ok(Err(Fault::TooManyParts));
        }
        for raw in parts.items {
            let Some(part) = json::object(Some(raw)) else { continue };
            if let Err(fault) = self.part(raw, &part, draft, on_delta)? {
                return Ok(Err(fault));
            }
        }
        Ok(Ok(()))
    }

    fn part(
        &mut self,
        raw: &RawValue,
        part: &Part<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> serde_json::Result<Result<(), Fault>> {
        if let Some(call) = json::object::<FunctionCall<'_>>(part.function_call) {
            let added = self.call(&call, draft)?;
            return Ok(added.and_then(|()| self.keep(raw, draft)));
        }
        let text = json::text(part.text)?;
        let is_signed = is_given(part.thought_signature);
        if part.thought.is_some_and(|thought| thought.get() == "true") {
            let spent = draft.spend(text.len());
            return Ok(if is_signed { spent.and_then(|()| self.keep(raw, draft)) } else { spent });
        }
        let start = draft.text().len();
        let added = draft.add_text(&text, on_delta);
        if is_signed {
            return Ok(added.and_then(|()| self.keep(raw, draft)));
        }
        let end = draft.text().len();
        match self.parts.last_mut() {
            Some(Kept::Text(range)) => range.end = end,
            _ if start < end => self.parts.push(Kept::Text(start..end)),
            _ => {}
        }
        Ok(added)
    }

    fn call(
        &mut self,
        call: &FunctionCall<'_>,
        draft: &mut Draft,
    ) -> serde_json::Result<Result<(), Fault>> {
        self.calls += 1;
        let mut id = json::text(call.id)?;
        if id.is_empty() {
            id = format!("{}{}", request::OWN_ID, self.calls).into();
        }
        // Each has a number of its own, so none is taken for the rest of the one before.
        Ok(draft.add_call(Piece {
            index: Some(self.calls),
            id: &id,
            name: &json::text(call.name)?,
            arguments: &json::arguments(call.args)?,
        }))
    }

    fn keep(&mut self, raw: &RawValue, draft: &mut Draft) -> Result<(), Fault> {
        draft.spend(raw.get().len())?;
        self.parts.push(Kept::Whole(raw.get().to_owned()));
        Ok(())
    }
}

fn blocked(feedback: &PromptFeedback<'_>) -> serde_json::Result<Result<(), Fault>> {
    let reason = json::text(feedback.block_reason)?;
    if matches!(&*reason, "" | "BLOCK_REASON_UNSPECIFIED") {
        return Ok(Ok(()));
    }
    let words = json::text(feedback.block_reason_message)?;
    Ok(Err(Fault::Refused(Refusal {
        kind: ErrorKind::BadRequest,
        retryable: false,
        what: "the server blocked the prompt",
        words: told("blockReason", &reason, &words),
    })))
}

fn finish(reason: &str, words: &str, draft: &mut Draft) -> Result<(), Fault> {
    let refused = |what, retryable| {
        let words = told("finishReason", reason, words);
        Err(Fault::Refused(Refusal { kind: ErrorKind::InvalidResponse, retryable, what, words }))
    };
    match reason {
        "" | "FINISH_REASON_UNSPECIFIED" => Ok(()),
        "STOP" => Ok(draft.finish("stop")),
        "MAX_TOKENS" => Ok(draft.finish("length")),
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR" => refused("the server blocked the answer", false),
        "MISSING_THOUGHT_SIGNATURE" => refused("the server gave up the answer", false),
        // Slips of the model, which it may not make again.
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "OTHER" => refused("the server gave up the answer", true),
        other => Ok(draft.finish(&other.to_ascii_lowercase())),
    }
}

fn told(key: &str, reason: &str, words: &str) -> String {
    if words.is_empty() { format!("{key}: {reason}") } else { format!("{key}: {reason}: {words}") }
}
