//! The answer of any API, built as it arrives: counted against `max_answer`, its text passed on.

use std::borrow::Cow;

use super::calls::{CallFragment, Calls, TooManyCalls};
use super::finish::{self, Cause, End};
use super::request::{ChatDelta, OnDelta};
use super::server_error::ServerError;
use super::thoughts::Thoughts;
use crate::chat::{ChatReply, NativeTurn, RequestedCall, TokenUsage, ToolCall};
use crate::text::json::{self, Halves, Joiner, Piece};
use crate::untrusted::Untrusted;

/// The part of an unusable body that is kept to be quoted.
const MAX_EXCERPT: usize = 2048;

/// Longer texts are not finish reasons.
const MAX_FINISH_REASON: usize = 64;

/// Why a body is not an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Text, reasoning and tool calls together exceed `max_answer`.
    AnswerTooLarge,
    /// One event, or the whole body, is larger than an answer within `max_answer` can be.
    EventTooLarge,
    TooManyCalls,
    /// More content blocks than this.
    TooManyBlocks(usize),
    /// Not JSON of the API. Its start.
    Unreadable(Vec<u8>),
    /// JSON of the API, but not of an answer. Its start.
    NoAnswer(Vec<u8>),
    /// An error in place of an answer, or in its middle.
    Server(ServerError),
    Withheld(Withheld),
    /// The body ended before the answer did.
    Ended,
}

impl From<serde_json::Error> for BodyError {
    /// The decoder, which has the bytes, fills in their start.
    fn from(_: serde_json::Error) -> Self {
        Self::Unreadable(Vec::new())
    }
}

impl From<TooManyCalls> for BodyError {
    fn from(_: TooManyCalls) -> Self {
        Self::TooManyCalls
    }
}

/// An answer that the server or the model withheld or broke off.
#[derive(Debug, PartialEq, Eq)]
pub struct Withheld {
    pub cause: Cause,
    /// The server's words for it. May contain secrets.
    pub words: String,
    pub finish_reason: Option<String>,
}

#[derive(Debug, Default)]
pub struct AnswerBuilder {
    limit: usize,
    /// Bytes counted against the limit.
    spent: usize,
    joiner: Joiner,
    thoughts: Thoughts,
    /// Bytes of text passed on. The caller keeps the text.
    emitted: usize,
    calls: Calls,
    /// In OpenAI's terms, if it has one for it.
    finish_reason: Option<String>,
    /// The server's own reason, if crew does not know it.
    unknown_end: Option<String>,
    /// Why the answer is withheld, and the server's words.
    withheld: Option<(Cause, String)>,
    usage: TokenUsage,
    /// The start of the first JSON that was not part of an answer.
    unrecognized: Vec<u8>,
    has_answer: bool,
}

impl AnswerBuilder {
    /// `limit`: bytes of text, reasoning and tool calls together.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Bytes of text so far.
    pub fn emitted(&self) -> usize {
        self.emitted
    }

    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Whether any text or call has arrived. Reasoning does not count.
    pub fn has_begun(&self) -> bool {
        self.emitted > 0 || self.has_calls()
    }

    /// Whether the answer is complete, whatever may still follow.
    pub fn is_finished(&self) -> bool {
        self.finish_reason.is_some() || self.withheld.is_some()
    }

    /// Notes that the body is an answer, even if an empty one.
    pub fn begin(&mut self) {
        self.has_answer = true;
    }

    /// Keeps the start of JSON that is not part of an answer, for an error if no answer follows.
    pub fn keep_unrecognized(&mut self, json: &[u8]) {
        if self.unrecognized.is_empty() {
            self.unrecognized = excerpt(json);
        }
    }

    /// Passes the text on. If it exceeds the limit, as much as fits.
    pub fn add_text<'t>(
        &mut self,
        piece: impl Into<Piece<'t>>,
        on_delta: OnDelta<'_>,
    ) -> Result<(), BodyError> {
        let mut text = self.joiner.join(piece.into());
        let length = text.len();
        let room = self.limit.saturating_sub(self.spent);
        if length > room {
            let end = text.floor_char_boundary(room);
            text.to_mut().truncate(end);
        }
        let answer = self.thoughts.remove(text);
        self.emit(&answer, on_delta);
        self.spend(length)
    }

    /// Passes on what was held back until more text would follow.
    pub fn end_text(&mut self, on_delta: OnDelta<'_>) {
        let half = self.joiner.finish().map(String::from).unwrap_or_default();
        let mut rest = self.thoughts.remove(half.into()).into_owned();
        rest.push_str(&self.thoughts.end());
        self.emit(&rest, on_delta);
    }

    fn emit(&mut self, text: &str, on_delta: OnDelta<'_>) {
        if !text.is_empty() {
            self.emitted += text.len();
            on_delta(ChatDelta::Text(text));
        }
    }

    pub fn add_call(&mut self, fragment: CallFragment<'_>) -> Result<(), BodyError> {
        let kept = self.calls.add(fragment)?;
        self.spend(kept)
    }

    /// Counts bytes that are kept or skipped against the limit.
    pub fn spend(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.limit { Err(BodyError::AnswerTooLarge) } else { Ok(()) }
    }

    /// A note on the end of the answer, if crew does not know the server's reason for it.
    pub fn unknown_end(&self) -> Option<Untrusted> {
        let reason = self.unknown_end.as_ref()?;
        Some(format!("the server ended the answer for an unknown reason: {reason}").into())
    }

    /// Bytes of text, reasoning and tool calls so far.
    pub fn written(&self) -> usize {
        self.spent
    }

    /// Reports the tokens of the call so far, if they are known.
    pub fn count(&mut self, usage: Option<TokenUsage>, on_delta: OnDelta<'_>) {
        let Some(usage) = usage else { return };
        let usage = self.usage.then(usage);
        if usage != self.usage {
            self.usage = usage;
            on_delta(ChatDelta::Usage(usage));
        }
    }

    /// Takes the reason for which the server ended the answer. `key` is the API's name for it, and
    /// `message` what else the server says about it, if anything.
    pub fn finish(&mut self, key: &str, reason: &str, message: &str) {
        if reason.is_empty() {
            return;
        }
        let short: String = reason.chars().take(MAX_FINISH_REASON).collect();
        let lower = short.to_lowercase();
        let (finish_reason, cause) = match finish::end_of(&lower) {
            End::Meant(finish_reason) => (Some(finish_reason), None),
            End::Withheld(cause, finish_reason) => (finish_reason, Some(cause)),
            End::Unknown => {
                self.unknown_end = Some(short.clone());
                (None, None)
            }
        };
        self.finish_reason = Some(finish_reason.map_or(lower, str::to_owned));
        if let Some(cause) = cause {
            let message = if message.is_empty() { "" } else { &format!(": {message}") };
            self.withhold(cause, format!("{key}: {short}{message}"));
        }
    }

    /// Notes that the answer is withheld. The rest of the body may still report tokens. The first
    /// cause stands: note one that is more exact than the reason for the end before [`Self::finish`].
    pub fn withhold(&mut self, cause: Cause, words: impl Into<String>) {
        self.withheld.get_or_insert_with(|| (cause, words.into()));
    }

    /// `native` makes the turn that the server expects back.
    pub fn into_reply(
        self,
        native: impl FnOnce(&[ToolCall]) -> Option<NativeTurn>,
    ) -> Result<ChatReply, BodyError> {
        let finish_reason = self.finish_reason;
        if let Some((cause, words)) = self.withheld {
            return Err(BodyError::Withheld(Withheld { cause, words, finish_reason }));
        }
        if !self.has_answer {
            return Err(BodyError::NoAnswer(self.unrecognized));
        }
        let is_cut = finish_reason.as_deref() == Some("length");
        let mut tool_calls = self.calls.into_calls(is_cut);
        tool_calls.iter_mut().for_each(|call| tidy(&mut call.arguments));
        Ok(ChatReply {
            has_text: self.emitted > 0,
            native: native(&tool_calls),
            tool_calls: tool_calls.into_iter().map(RequestedCall::new).collect(),
            finish_reason: finish_reason.map(Untrusted::new),
            usage: self.usage,
        })
    }
}

/// Makes arguments JSON that servers accept. What is not JSON remains as it is.
fn tidy(arguments: &mut String) {
    let tidied = match json::tidy(arguments.as_bytes(), Halves::Replace) {
        Ok(Cow::Owned(tidied)) => tidied,
        _ => return,
    };
    *arguments = tidied;
}

/// The start of bytes that could not be used.
pub fn excerpt(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(MAX_EXCERPT)].to_vec()
}
