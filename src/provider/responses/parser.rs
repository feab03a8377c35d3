//! Reads the events of a stream, or a whole response.

use std::collections::HashSet;

use serde_json::value::RawValue;

use super::event::{self, Content, Event, Incomplete, Item, MAX_ITEMS, Response};
use crate::chat::{NativePart, ToolCall};
use crate::provider::answer::{AnswerBuilder, BodyError};
use crate::provider::calls::CallFragment;
use crate::provider::finish::Cause;
use crate::provider::json::{self, is_given, number};
use crate::provider::openai::usage;
use crate::provider::protocol::{ChunkParser, Progress};
use crate::provider::request::OnDelta;
use crate::provider::server_error::ServerError;
use crate::text::json::Piece;

#[derive(Debug, Default)]
pub struct ResponsesParser {
    /// In order of arrival: the server expects them back in this order.
    items: Vec<NativePart>,
    has_reasoning: bool,
    /// The items of which a delta has arrived: their ends repeat it.
    started: HashSet<u64>,
}

impl ChunkParser for ResponsesParser {
    fn read(
        &mut self,
        json: &[u8],
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<Progress, BodyError> {
        let event: Event<'_> = json::document(json)?;
        let kind = json::text(event.r#type)?;
        if json::is_error_event(&kind, event.error, [event.message, event.detail]) {
            return Err(BodyError::Server(ServerError::from_body(json)));
        }
        let index = number(event.output_index);
        match &*kind {
            "response.output_text.delta" => {
                self.begin(index)?;
                answer.add_text(json::piece(event.delta)?, on_delta)?;
            }
            "response.refusal.delta" => {
                self.begin(index)?;
                refuse(&json::text(event.delta)?, answer, on_delta)?;
            }
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                answer.spend(json::text(event.delta)?.len())?;
            }
            "response.function_call_arguments.delta" => {
                self.begin(index)?;
                let arguments = json::piece(event.delta)?;
                answer.add_call(CallFragment { index, arguments, ..CallFragment::default() })?;
            }
            "response.output_item.added" => self.announced(index, event.item, answer)?,
            "response.output_item.done" => {
                let Some(item) = event.item else { return Ok(Progress::More) };
                self.item(index, item, answer, on_delta)?;
            }
            "response.completed" | "response.incomplete" | "response.failed" => {
                let response = json::object(event.response).unwrap_or_default();
                self.end(&response, answer, on_delta)?;
                return Ok(Progress::Complete);
            }
            "" if event.object.is_some_and(|object| object.get() == "\"response\"") => {
                self.end(&json::document(json)?, answer, on_delta)?;
                return Ok(Progress::Complete);
            }
            _ => {
                // The API has further types of events. A response of another API contains nothing
                // else.
                if !kind.starts_with("response.") {
                    answer.keep_unrecognized(json);
                    return Ok(Progress::More);
                }
            }
        }
        answer.begin();
        Ok(Progress::More)
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        if calls.is_empty() || !self.has_reasoning { Vec::new() } else { self.items.clone() }
    }
}

impl ResponsesParser {
    /// Notes that a part of the item has arrived.
    fn begin(&mut self, index: Option<u64>) -> Result<(), BodyError> {
        if self.started.len() == MAX_ITEMS {
            return Err(BodyError::TooManyBlocks(MAX_ITEMS));
        }
        self.started.extend(index);
        Ok(())
    }

    /// Reads the start of an item. Only a tool call says anything there.
    fn announced(
        &mut self,
        index: Option<u64>,
        item: json::Raw<'_>,
        answer: &mut AnswerBuilder,
    ) -> Result<(), BodyError> {
        let Some(item) = json::object::<Item<'_>>(item) else { return Ok(()) };
        if json::text(item.r#type)? == "function_call" {
            let (id, name) = (&json::text(item.call_id)?, &json::text(item.name)?);
            answer.add_call(CallFragment { index, id, name, ..CallFragment::default() })?;
        }
        Ok(())
    }

    /// Reads a whole item: the parts that no delta has brought, and the reasoning.
    fn item(
        &mut self,
        index: Option<u64>,
        raw: &RawValue,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let Some(item) = json::object::<Item<'_>>(Some(raw)) else { return Ok(()) };
        let is_new = index.is_none_or(|index| !self.started.contains(&index));
        self.begin(index)?;
        match &*json::text(item.r#type)? {
            "message" => {
                let end = answer.emitted();
                if is_new {
                    message(&item, answer, on_delta)?;
                }
                let start = if is_new { end } else { self.kept_text() };
                self.keep(NativePart::Text(start..answer.emitted()))
            }
            "function_call" => {
                let arguments = json::arguments(item.arguments)?;
                answer.add_call(CallFragment {
                    index,
                    id: &json::text(item.call_id)?,
                    name: &json::text(item.name)?,
                    arguments: if is_new { arguments } else { Piece::default() },
                })?;
                self.keep_raw(raw, answer)
            }
            // Without the encrypted form, the server would look it up and not find it.
            "reasoning" if is_given(item.encrypted_content) || is_given(item.content) => {
                self.has_reasoning = true;
                self.keep_raw(raw, answer)
            }
            _ => Ok(()),
        }
    }

    /// The end of the text that the kept parts cover.
    fn kept_text(&self) -> usize {
        let ends = self.items.iter().filter_map(|part| match part {
            NativePart::Text(range) => Some(range.end),
            NativePart::Json(_) => None,
        });
        ends.max().unwrap_or_default()
    }

    fn keep_raw(&mut self, raw: &RawValue, answer: &mut AnswerBuilder) -> Result<(), BodyError> {
        answer.spend(raw.get().len())?;
        self.keep(NativePart::Json(raw.get().to_owned()))
    }

    fn keep(&mut self, part: NativePart) -> Result<(), BodyError> {
        if self.items.len() == MAX_ITEMS {
            return Err(BodyError::TooManyBlocks(MAX_ITEMS));
        }
        self.items.push(part);
        Ok(())
    }

    /// Reads the end of a stream, or a response that is not streamed.
    fn end(
        &mut self,
        response: &Response<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        answer.count(usage::usage(response.usage), on_delta);
        if let Some(error) = response.error.filter(|error| is_given(Some(error))) {
            return Err(BodyError::Server(ServerError::from_error(error.get())));
        }
        if !answer.has_begun() && self.items.is_empty() {
            let output = event::items::<&RawValue>(response.output)?;
            for (at, item) in output.items.into_iter().enumerate() {
                self.item(Some(at as u64), item, answer, on_delta)?;
            }
        }
        answer.begin();
        finish(response, answer)
    }
}

fn message(
    item: &Item<'_>,
    answer: &mut AnswerBuilder,
    on_delta: OnDelta<'_>,
) -> Result<(), BodyError> {
    for content in event::items::<Content<'_>>(item.content)?.items {
        answer.add_text(json::piece(content.text)?, on_delta)?;
        if is_given(content.refusal) {
            refuse(&json::text(content.refusal)?, answer, on_delta)?;
        }
    }
    Ok(())
}

fn refuse(text: &str, answer: &mut AnswerBuilder, on_delta: OnDelta<'_>) -> Result<(), BodyError> {
    answer.withhold(Cause::ModelRefused, "refusal");
    answer.add_text(text, on_delta)
}

fn finish(response: &Response<'_>, answer: &mut AnswerBuilder) -> Result<(), BodyError> {
    let incomplete: Option<Incomplete<'_>> = json::object(response.incomplete_details);
    let reason = json::text(incomplete.and_then(|incomplete| incomplete.reason))?;
    match (&*json::text(response.status)?, &*reason) {
        (_, "max_output_tokens" | "content_filter") => answer.finish("incomplete", &reason, ""),
        ("completed" | "", "") if answer.has_calls() => answer.finish("status", "tool_calls", ""),
        ("completed" | "", "") => answer.finish("status", "stop", ""),
        (status, "") => {
            answer.withhold(Cause::Aborted, format!("status: {status}"));
            answer.finish("status", status, "");
        }
        (_, reason) => {
            answer.withhold(Cause::Aborted, format!("incomplete: {reason}"));
            answer.finish("incomplete", reason, "");
        }
    }
    Ok(())
}
