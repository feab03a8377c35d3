//! What the events of an answer, or a whole one, say.

use std::ops::Range;

use super::event::{self, Block, Counts, Delta, Event, MAX_BLOCKS, Start};
use super::request;
use crate::chat::{NativePart, ToolCall};
use crate::provider::calls::Piece;
use crate::provider::draft::{Draft, Fault, OnDelta, Refusal, Stop};
use crate::provider::failure::ServerError;
use crate::provider::json::{self, Raw, is_given, number};
use crate::provider::protocol::Parser;
use crate::report::ErrorKind;

#[derive(Debug, Default)]
pub struct Answer {
    /// In the order they came, which is how the server wants them back.
    blocks: Vec<Kept>,
    /// Tool calls begun.
    calls: u64,
    counts: Counts,
}

/// One block, as far as it has come.
#[derive(Debug)]
struct Kept {
    index: Option<u64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Where it stands in the turn's text.
    Text(Range<usize>),
    Thinking {
        text: String,
        signature: Option<String>,
    },
    /// Encrypted by the server.
    Redacted(String),
    Call {
        /// Among the draft's calls.
        number: u64,
        /// The arguments came with the block's start.
        is_whole: bool,
    },
    /// Of a kind this version does not know.
    Other,
}

impl Kept {
    /// As the server wants it back; `None` if it does not.
    fn native(&self, calls: &[ToolCall]) -> Option<NativePart> {
        let block = match &self.content {
            Content::Text(range) => return Some(NativePart::Text(range.clone())),
            Content::Thinking { text, signature } => request::thinking(text, signature.as_deref()),
            Content::Redacted(data) => request::redacted(data),
            Content::Call { number, .. } => {
                let call = calls.get(usize::try_from(*number).ok()?)?;
                request::call(call, request::id(&call.id))
            }
            Content::Other => return None,
        };
        serde_json::to_string(&block).ok().map(NativePart::Json)
    }
}

impl Parser for Answer {
    fn read(
        &mut self,
        json: &[u8],
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<bool, Stop> {
        let event: Event<'_> = json::document(json)?;
        let kind = json::text(event.r#type)?;
        let explains = is_given(event.message) || is_given(event.detail);
        if is_given(event.error) || kind == "error" || (kind.is_empty() && explains) {
            return Err(Fault::Server(ServerError::from_body(json)).into());
        }
        match &*kind {
            "message_start" => {
                let start: Start<'_> = json::object(event.message).unwrap_or_default();
                self.count(start.usage, draft, on_delta);
            }
            "content_block_start" => {
                if let Some(block) = json::object(event.content_block) {
                    self.begin(number(event.index), &block, draft, on_delta)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = json::object(event.delta) {
                    self.go_on(number(event.index), &delta, draft, on_delta)?;
                }
            }
            "message_delta" => {
                self.count(event.usage, draft, on_delta);
                let delta: Option<Delta<'_>> = json::object(event.delta);
                finish(&json::text(delta.and_then(|delta| delta.stop_reason))?, draft);
            }
            "message_stop" => return Ok(true),
            "message" => self.whole(&event, draft, on_delta)?,
            _ => {
                // The protocol says that there will be other events; of another protocol there is
                // nothing else.
                draft.keep_stranger(json);
                return Ok(false);
            }
        }
        draft.is_answer();
        Ok(false)
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        let is_thought =
            |kept: &Kept| matches!(kept.content, Content::Thinking { .. } | Content::Redacted(_));
        if calls.is_empty() || !self.blocks.iter().any(is_thought) {
            return Vec::new();
        }
        self.blocks.iter().filter_map(|kept| kept.native(calls)).collect()
    }
}

impl Answer {
    /// An answer that is not streamed.
    fn whole(
        &mut self,
        event: &Event<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        self.count(event.usage, draft, on_delta);
        let blocks = event::blocks(event.content)?;
        if blocks.more {
            return Err(Fault::TooManyParts.into());
        }
        for (at, block) in blocks.items.iter().enumerate() {
            self.begin(Some(at as u64), block, draft, on_delta)?;
        }
        finish(&json::text(event.stop_reason)?, draft);
        Ok(())
    }

    fn begin(
        &mut self,
        index: Option<u64>,
        block: &Block<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        let content = match &*json::text(block.r#type)? {
            "text" => {
                let start = draft.told();
                draft.add_text(&json::text(block.text)?, on_delta)?;
                Content::Text(start..draft.told())
            }
            "thinking" => {
                let text = json::text(block.thinking)?.into_owned();
                let signature = block.signature.map(|raw| json::text(Some(raw))).transpose()?;
                let signature = signature.map(std::borrow::Cow::into_owned);
                draft.spend(text.len() + signature.as_ref().map_or(0, String::len))?;
                Content::Thinking { text, signature }
            }
            "redacted_thinking" => {
                let data = json::text(block.data)?.into_owned();
                draft.spend(data.len())?;
                Content::Redacted(data)
            }
            "tool_use" => {
                let number = self.calls;
                self.calls += 1;
                let mut id = json::text(block.id)?;
                if id.is_empty() {
                    // Of a call without any id or name there would be nothing to keep.
                    id = format!("call_{}", number + 1).into();
                }
                // Empty at the start of a streamed call: its arguments come in pieces.
                let input = json::arguments(block.input.filter(|input| is_given(Some(input))))?;
                draft.add_call(Piece {
                    index: Some(number),
                    id: &id,
                    name: &json::text(block.name)?,
                    arguments: &input,
                })?;
                Content::Call { number, is_whole: !input.is_empty() }
            }
            _ => Content::Other,
        };
        self.push(index, content)
    }

    fn push(&mut self, index: Option<u64>, content: Content) -> Result<(), Stop> {
        if self.blocks.len() == MAX_BLOCKS {
            return Err(Fault::TooManyParts.into());
        }
        self.blocks.push(Kept { index, content });
        Ok(())
    }

    fn go_on(
        &mut self,
        index: Option<u64>,
        delta: &Delta<'_>,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        let kind = json::text(delta.r#type)?;
        if kind == "text_delta" {
            return self.add_text(index, &json::text(delta.text)?, draft, on_delta);
        }
        let Some(kept) = self.blocks.iter_mut().rev().find(|kept| kept.index == index) else {
            return Ok(());
        };
        match (&*kind, &mut kept.content) {
            ("thinking_delta", Content::Thinking { text, .. }) => {
                let more = json::text(delta.thinking)?;
                text.push_str(&more);
                draft.spend(more.len())?;
            }
            ("signature_delta", Content::Thinking { signature, .. }) => {
                let more = json::text(delta.signature)?;
                signature.get_or_insert_default().push_str(&more);
                draft.spend(more.len())?;
            }
            ("input_json_delta", Content::Call { number, is_whole: false }) => {
                draft.add_call(Piece {
                    index: Some(*number),
                    arguments: &json::text(delta.partial_json)?,
                    ..Piece::default()
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A text says itself what it is, so its block's start may be missing.
    fn add_text(
        &mut self,
        index: Option<u64>,
        text: &str,
        draft: &mut Draft,
        on_delta: OnDelta<'_>,
    ) -> Result<(), Stop> {
        let start = draft.told();
        draft.add_text(text, on_delta)?;
        let end = draft.told();
        match self.blocks.last_mut() {
            Some(Kept { index: last, content: Content::Text(range) }) if *last == index => {
                range.end = end;
                Ok(())
            }
            // Another block came between.
            _ => self.push(index, Content::Text(start..end)),
        }
    }

    fn count(&mut self, usage: Raw<'_>, draft: &mut Draft, on_delta: OnDelta<'_>) {
        if let Some(usage) = self.counts.update(usage) {
            draft.count(usage, on_delta);
        }
    }
}

fn finish(reason: &str, draft: &mut Draft) {
    match reason {
        "" => {}
        "end_turn" | "stop_sequence" => draft.finish("stop"),
        "max_tokens" | "model_context_window_exceeded" => draft.finish("length"),
        "tool_use" => draft.finish("tool_calls"),
        "refusal" => {
            draft.finish("content_filter");
            draft.refuse(Refusal {
                kind: ErrorKind::InvalidResponse,
                retryable: false,
                what: "the model refused to answer",
                words: "stop_reason: refusal".into(),
            });
        }
        other => draft.finish(other),
    }
}
