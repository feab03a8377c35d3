//! Reads the events of a stream, or a whole response.

use std::ops::Range;

use super::event::{self, Block, Counts, Delta, Event, MAX_BLOCKS, Start};
use super::request;
use crate::chat::{NativePart, ToolCall};
use crate::provider::answer::{AnswerBuilder, BodyError};
use crate::provider::calls::CallFragment;
use crate::provider::json::{self, is_given, number};
use crate::provider::protocol::{ChunkParser, Progress};
use crate::provider::request::OnDelta;
use crate::provider::server_error::ServerError;
use crate::text::json::{Joiner, Piece};

#[derive(Debug, Default)]
pub struct AnthropicParser {
    /// In order of arrival: the server expects them back in this order.
    blocks: Vec<KeptBlock>,
    /// The number of tool calls so far.
    calls: u64,
    thinking: Joiner,
    counts: Counts,
}

/// One content block, as far as it has arrived.
#[derive(Debug)]
struct KeptBlock {
    index: Option<u64>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The range in the turn's text.
    Text(Range<usize>),
    Thinking {
        text: String,
        signature: Option<String>,
    },
    /// Encrypted by the server.
    Redacted(String),
    Call {
        /// The position among the answer's calls.
        number: u64,
        /// The block's start contained the arguments.
        is_whole: bool,
    },
    /// A type unknown to this version.
    Other,
}

impl KeptBlock {
    /// The block in the server's form; `None` if the server does not expect it back.
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

impl ChunkParser for AnthropicParser {
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
        match &*kind {
            "message_start" => {
                let start: Start<'_> = json::object(event.message).unwrap_or_default();
                answer.count(self.counts.update(start.usage), on_delta);
            }
            "content_block_start" => {
                if let Some(block) = json::object(event.content_block) {
                    self.begin(number(event.index), &block, answer, on_delta)?;
                }
            }
            "content_block_delta" => {
                if let Some(delta) = json::object(event.delta) {
                    self.extend(number(event.index), &delta, answer, on_delta)?;
                }
            }
            "message_delta" => {
                answer.count(self.counts.update(event.usage), on_delta);
                let delta: Option<Delta<'_>> = json::object(event.delta);
                let reason = json::text(delta.and_then(|delta| delta.stop_reason))?;
                answer.finish("stop_reason", &reason, "");
            }
            "message_stop" => return Ok(Progress::Complete),
            "message" => self.whole(&event, answer, on_delta)?,
            _ => {
                // The API may send further types of events. A response of another API contains
                // nothing else.
                answer.keep_unrecognized(json);
                return Ok(Progress::More);
            }
        }
        answer.begin();
        Ok(Progress::More)
    }

    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart> {
        let is_thought = |kept: &KeptBlock| {
            matches!(kept.content, Content::Thinking { .. } | Content::Redacted(_))
        };
        if calls.is_empty() || !self.blocks.iter().any(is_thought) {
            return Vec::new();
        }
        self.blocks.iter().filter_map(|kept| kept.native(calls)).collect()
    }
}

impl AnthropicParser {
    /// Reads a response that is not streamed.
    fn whole(
        &mut self,
        event: &Event<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        answer.count(self.counts.update(event.usage), on_delta);
        let blocks = event::blocks(event.content)?;
        if blocks.more {
            return Err(BodyError::TooManyBlocks(MAX_BLOCKS));
        }
        for (at, block) in blocks.items.iter().enumerate() {
            self.begin(Some(at as u64), block, answer, on_delta)?;
        }
        answer.finish("stop_reason", &json::text(event.stop_reason)?, "");
        Ok(())
    }

    fn begin(
        &mut self,
        index: Option<u64>,
        block: &Block<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let content = match &*json::text(block.r#type)? {
            "text" => {
                let start = answer.emitted();
                answer.add_text(json::piece(block.text)?, on_delta)?;
                Content::Text(start..answer.emitted())
            }
            "thinking" => {
                let text = json::text(block.thinking)?.into_owned();
                let signature = block.signature.map(|raw| json::text(Some(raw))).transpose()?;
                let signature = signature.map(std::borrow::Cow::into_owned);
                answer.spend(text.len() + signature.as_ref().map_or(0, String::len))?;
                Content::Thinking { text, signature }
            }
            "redacted_thinking" => {
                let data = json::text(block.data)?.into_owned();
                answer.spend(data.len())?;
                Content::Redacted(data)
            }
            "tool_use" => {
                let number = self.calls;
                self.calls += 1;
                let mut id = json::text(block.id)?;
                if id.is_empty() {
                    // A fragment without id, name and arguments would be dropped.
                    id = format!("call_{}", number + 1).into();
                }
                // Empty at the start of a streamed call, whose arguments follow in fragments.
                let input = json::arguments(block.input.filter(|input| is_given(Some(input))))?;
                let is_whole = !input.is_empty();
                answer.add_call(CallFragment {
                    index: Some(number),
                    id: &id,
                    name: &json::text(block.name)?,
                    arguments: input,
                })?;
                Content::Call { number, is_whole }
            }
            _ => Content::Other,
        };
        self.push(index, content)
    }

    fn push(&mut self, index: Option<u64>, content: Content) -> Result<(), BodyError> {
        if self.blocks.len() == MAX_BLOCKS {
            return Err(BodyError::TooManyBlocks(MAX_BLOCKS));
        }
        self.blocks.push(KeptBlock { index, content });
        Ok(())
    }

    fn extend(
        &mut self,
        index: Option<u64>,
        delta: &Delta<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let kind = json::text(delta.r#type)?;
        if kind == "text_delta" {
            return self.add_text(index, json::piece(delta.text)?, answer, on_delta);
        }
        let Some(kept) = self.blocks.iter_mut().rev().find(|kept| kept.index == index) else {
            return Ok(());
        };
        match (&*kind, &mut kept.content) {
            ("thinking_delta", Content::Thinking { text, .. }) => {
                // Its signature covers every character.
                let more = self.thinking.join(json::piece(delta.thinking)?);
                text.push_str(&more);
                answer.spend(more.len())?;
            }
            ("signature_delta", Content::Thinking { signature, .. }) => {
                let more = json::text(delta.signature)?;
                signature.get_or_insert_default().push_str(&more);
                answer.spend(more.len())?;
            }
            ("input_json_delta", Content::Call { number, is_whole: false }) => {
                answer.add_call(CallFragment {
                    index: Some(*number),
                    arguments: json::piece(delta.partial_json)?,
                    ..CallFragment::default()
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// A text delta needs no block: some servers leave out the block's start.
    fn add_text(
        &mut self,
        index: Option<u64>,
        text: Piece<'_>,
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let start = answer.emitted();
        answer.add_text(text, on_delta)?;
        let end = answer.emitted();
        match self.blocks.last_mut() {
            Some(KeptBlock { index: last, content: Content::Text(range) }) if *last == index => {
                range.end = end;
                Ok(())
            }
            // Another block came in between.
            _ => self.push(index, Content::Text(start..end)),
        }
    }
}
