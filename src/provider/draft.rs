//! What has come of an answer, in whatever protocol: counted against `max_answer`, and told as it
//! comes.

use super::ChatDelta;
use super::calls::{Calls, Piece};
use super::failure::ServerError;
use crate::chat::{ChatReply, NativeTurn, RequestedCall, TokenUsage, ToolCall};
use crate::report::ErrorKind;
use crate::untrusted::Untrusted;

/// What of an unreadable body is kept to be quoted.
const EXCERPT_BYTES: usize = 2048;

/// Longer ones are no reasons.
const FINISH_REASON_CHARS: usize = 64;

pub type OnDelta<'a> = &'a mut (dyn FnMut(ChatDelta<'_>) + Send);

/// Why the answer cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Text, reasoning and tool calls together went over `max_answer`.
    TooLarge,
    /// One event, or a whole body, cannot hold an answer within `max_answer`.
    EventTooLarge,
    TooManyCalls,
    /// In a protocol whose answers come in parts.
    TooManyParts,
    /// The start of what could not be read.
    Unreadable(Vec<u8>),
    /// Readable, but no answer.
    NoAnswer(Vec<u8>),
    Server(ServerError),
    /// The server says that there will be no answer to this.
    /// And the reason that the server gave for the end.
    Refused(Refusal, Option<String>),
    /// The end came before the answer's.
    Ended,
}

/// What stops the reading of one event: its JSON, or what it says.
#[derive(Debug)]
pub enum Stop {
    Unreadable,
    Fault(Fault),
}

impl From<serde_json::Error> for Stop {
    fn from(_: serde_json::Error) -> Self {
        Self::Unreadable
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// An answer that the server, or the model, withheld or spoilt.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: ErrorKind,
    /// The same request may be answered another time.
    pub retryable: bool,
    /// What happened, in our words.
    pub what: &'static str,
    /// The server's words for it; not yet fit for a message.
    pub words: String,
}

/// The answer so far.
#[derive(Debug, Default)]
pub struct Draft {
    limit: usize,
    /// Bytes counted against the limit.
    spent: usize,
    /// Bytes of text: it is kept by who is told.
    told: usize,
    calls: Calls,
    finish_reason: Option<String>,
    refusal: Option<Refusal>,
    usage: TokenUsage,
    /// The start of the first JSON that was no part of an answer.
    stranger: Vec<u8>,
    saw_answer: bool,
}

impl Draft {
    /// `limit`: bytes of text, reasoning and tool calls together.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Bytes of text so far.
    pub fn told(&self) -> usize {
        self.told
    }

    pub fn has_calls(&self) -> bool {
        !self.calls.is_empty()
    }

    /// Something of an answer has arrived; reasoning is not part of it.
    pub fn has_begun(&self) -> bool {
        self.told > 0 || self.has_calls()
    }

    /// The answer is complete, whatever may still follow.
    pub fn is_finished(&self) -> bool {
        self.finish_reason.is_some() || self.refusal.is_some()
    }

    /// What comes is an answer, even if nothing is in it.
    pub fn is_answer(&mut self) {
        self.saw_answer = true;
    }

    /// JSON that is no part of an answer. Only if none follows it was meant to be one.
    pub fn keep_stranger(&mut self, json: &[u8]) {
        if self.stranger.is_empty() {
            self.stranger = excerpt(json);
        }
    }

    /// Of a text that goes over the limit, what fits is still told.
    pub fn add_text(&mut self, text: &str, on_delta: OnDelta<'_>) -> Result<(), Fault> {
        let room = self.limit.saturating_sub(self.spent);
        let fitting = &text[..text.floor_char_boundary(room)];
        if !fitting.is_empty() {
            self.told += fitting.len();
            on_delta(ChatDelta::Text(fitting));
        }
        self.spend(text.len())
    }

    /// A fragment of a tool call.
    pub fn add_call(&mut self, piece: Piece<'_>) -> Result<(), Fault> {
        let kept = self.calls.add(piece).map_err(|_| Fault::TooManyCalls)?;
        self.spend(kept)
    }

    /// Counts bytes that are kept, or read past, against the limit.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.limit { Err(Fault::TooLarge) } else { Ok(()) }
    }

    pub fn count(&mut self, usage: TokenUsage, on_delta: OnDelta<'_>) {
        if usage != self.usage {
            self.usage = usage;
            on_delta(ChatDelta::Usage(usage));
        }
    }

    pub fn finish(&mut self, reason: &str) {
        self.finish_reason = Some(reason.chars().take(FINISH_REASON_CHARS).collect());
    }

    /// The answer is withheld or spoilt. What still comes of it may be its tokens.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.refusal.get_or_insert(refusal);
    }

    /// `native` makes what the server wants back of this turn.
    pub fn into_reply(
        self,
        native: impl FnOnce(&[ToolCall]) -> Option<NativeTurn>,
    ) -> Result<ChatReply, Fault> {
        if let Some(refusal) = self.refusal {
            return Err(Fault::Refused(refusal, self.finish_reason));
        }
        if !self.saw_answer {
            return Err(Fault::NoAnswer(self.stranger));
        }
        let tool_calls = self.calls.into_calls();
        Ok(ChatReply {
            has_text: self.told > 0,
            native: native(&tool_calls),
            tool_calls: tool_calls.into_iter().map(RequestedCall::new).collect(),
            finish_reason: self.finish_reason.map(Untrusted::new),
            usage: self.usage,
        })
    }
}

/// The start of what could not be used, to be quoted.
pub fn excerpt(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec()
}
