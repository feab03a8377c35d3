//! What the chunks of an answer, or a whole one, say.

use serde_json::value::RawValue;

use super::chunk::{self, Chunk, Delta};
use crate::chat::{NativePart, ToolCall};
use crate::provider::calls::Piece;
use crate::provider::draft::{Draft, Fault, OnDelta, Refusal, Stop};
use crate::provider::failure::ServerError;
use crate::provider::json;
use crate::provider::protocol::Parser;
use crate::report::ErrorKind;

#[derive(Debug, Default)]
pub struct Answer {
    /// What came as `reasoning_content`. Servers that send it under this name demand it back with
    /// the calls it led to.
    reasoning: String,
}

impl Parser for Answer {
    fn read(
        &mut self,
        json: &[u8],
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<bool, Stop> {
        let chunk: Chunk<'_> = json::document(json)?;
        if json::is_given(chunk.error) {
            return Err(Fault::Server(ServerError::from_body(json)).into());
        }
        count(draft, chunk.usage, on_delta);
        let Some(choices) = chunk.choices else {
            let names_error = chunk.object.is_some_and(|object| object.get() == "\"error\"");
            let explains = json::is_given(chunk.message) || json::is_given(chunk.detail);
            if names_error || explains {
                return Err(Fault::Server(ServerError::from_body(json)).into());
            }
            draft.keep_stranger(json);
            return Ok(false);
        };
        for choice in choices.items {
            draft.is_answer();
            if let Some(error) = choice.error.filter(|error| json::is_given(Some(error))) {
                return Err(Fault::Server(ServerError::from_error(error.get())).into());
            }
            if let Some(delta) = choice.delta {
                self.add(&delta, draft, on_delta)?;
            }
            // A whole message after its deltas repeats them.
            if let Some(message) = choice.message
                && !draft.has_begun()
            {
                self.add(&message, draft, on_delta)?;
            }
            count(draft, choice.usage, on_delta);
            finish(draft, &json::text(choice.finish_reason)?)?;
        }
        Ok(false)
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        if self.reasoning.is_empty() || calls.is_empty() {
            return Vec::new();
        }
        vec![NativePart::Json(serde_json::Value::from(self.reasoning.as_str()).to_string())]
    }
}

impl Answer {
    fn add(
        &mut self,
        delta: &Delta<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        draft.spend(json::text(delta.reasoning)?.len())?;
        let reasoning = json::text(delta.reasoning_content)?;
        draft.spend(reasoning.len())?;
        self.reasoning.push_str(&reasoning);
        for raw in [delta.content, delta.refusal] {
            let text = json::text(raw)?;
            draft.add_text(&text, on_delta)?;
        }
        if json::is_given(delta.refusal) {
            refuse(draft, "the model refused to answer", "refusal");
        }
        let Some(fragments) = &delta.tool_calls else { return Ok(()) };
        if fragments.more {
            return Err(Fault::TooManyCalls.into());
        }
        for fragment in &fragments.items {
            let function = fragment.function.as_ref();
            draft.add_call(Piece {
                index: json::number(fragment.index),
                id: &json::text(fragment.id)?,
                name: &json::text(function.and_then(|f| f.name))?,
                arguments: &json::arguments(function.and_then(|f| f.arguments))?,
            })?;
        }
        Ok(())
    }
}

fn count(draft: &mut Draft, usage: Option<&RawValue>, on_delta: OnDelta<'_>) {
    if let Some(usage) = chunk::usage(usage) {
        draft.count(usage, on_delta);
    }
}

fn finish(draft: &mut Draft, reason: &str) -> Result<(), Fault> {
    match reason {
        "" => {}
        "error" => {
            let error = r#"{"message": "it gave up the answer (finish_reason: error)"}"#;
            return Err(Fault::Server(ServerError::from_error(error)));
        }
        "content_filter" => {
            draft.finish(reason);
            refuse(draft, "the server blocked the answer", "finish_reason: content_filter");
        }
        reason => draft.finish(reason),
    }
    Ok(())
}

fn refuse(draft: &mut Draft, what: &'static str, words: &str) {
    let kind = ErrorKind::InvalidResponse;
    draft.refuse(Refusal { kind, retryable: false, what, words: words.into() });
}
