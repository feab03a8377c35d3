//! Reads the chunks of a stream, or a whole response.

use super::chunk::{Chunk, Delta};
use super::kept::Kept;
use super::usage;
use crate::chat::{NativePart, ToolCall};
use crate::provider::answer::{AnswerBuilder, BodyError};
use crate::provider::calls::CallFragment;
use crate::provider::finish::Cause;
use crate::provider::json;
use crate::provider::protocol::{ChunkParser, Progress};
use crate::provider::request::OnDelta;
use crate::provider::server_error::ServerError;

#[derive(Debug, Default)]
pub struct OpenAiParser {
    kept: Kept,
}

impl ChunkParser for OpenAiParser {
    fn read(
        &mut self,
        json: &[u8],
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<Progress, BodyError> {
        let chunk: Chunk<'_> = json::document(json)?;
        if json::is_given(chunk.error) {
            return Err(BodyError::Server(ServerError::from_body(json)));
        }
        answer.count(usage::usage(chunk.usage), on_delta);
        let Some(choices) = chunk.choices else {
            let names_error = chunk.object.is_some_and(|object| object.get() == "\"error\"");
            let explains = json::is_given(chunk.message) || json::is_given(chunk.detail);
            if names_error || explains {
                return Err(BodyError::Server(ServerError::from_body(json)));
            }
            answer.keep_unrecognized(json);
            return Ok(Progress::More);
        };
        for choice in choices.items {
            answer.begin();
            if let Some(error) = choice.error.filter(|error| json::is_given(Some(error))) {
                return Err(BodyError::Server(ServerError::from_error(error.get())));
            }
            if let Some(delta) = choice.delta {
                self.add(&delta, answer, on_delta)?;
            }
            // A whole message after deltas repeats them.
            if let Some(message) = choice.message
                && !answer.has_begun()
            {
                self.add(&message, answer, on_delta)?;
            }
            answer.count(usage::usage(choice.usage), on_delta);
            answer.finish("finish_reason", &json::text(choice.finish_reason)?, "");
        }
        Ok(Progress::More)
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        self.kept.native(calls).into_iter().collect()
    }
}

impl OpenAiParser {
    fn add(
        &mut self,
        delta: &Delta<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        answer.spend(json::text(delta.reasoning)?.len())?;
        answer.spend(self.kept.add_reasoning(delta.reasoning_content)?)?;
        answer.spend(self.kept.add_details(delta.reasoning_details))?;
        for text in [delta.content, delta.refusal] {
            answer.add_text(json::piece(text)?, on_delta)?;
        }
        if json::is_given(delta.refusal) {
            answer.withhold(Cause::ModelRefused, "refusal");
        }
        let Some(fragments) = &delta.tool_calls else { return Ok(()) };
        if fragments.more {
            return Err(BodyError::TooManyCalls);
        }
        for fragment in &fragments.items {
            let function = fragment.function.as_ref();
            let id = json::text(fragment.id)?;
            let index = json::number(fragment.index);
            answer.spend(self.kept.add_extra(index, &id, fragment.extra_content))?;
            answer.add_call(CallFragment {
                index,
                id: &id,
                name: &json::text(function.and_then(|f| f.name))?,
                arguments: json::arguments(function.and_then(|f| f.arguments))?,
            })?;
        }
        Ok(())
    }
}
