//! The body of an answer, read as it arrives: from bytes to text, tool calls and tokens.
//!
//! No IO and no clock, so that every way a server can put it is a plain test.

use serde_json::value::RawValue;

use super::calls::{Calls, Piece};
use super::chunk::{self, Chunk, Delta};
use crate::provider::failure::ServerError;
use crate::provider::sse::{Decoder, Flow, Item};
use crate::provider::{ChatDelta, ChatReply, TokenUsage};

/// JSON may write a byte as six (`\u0000`), and has keys around the text.
const ESCAPE_FACTOR: usize = 6;
const ENVELOPE_BYTES: usize = 64 * 1024;

/// What of an unreadable body is kept to be quoted.
const EXCERPT_BYTES: usize = 2048;

/// Longer ones are no reasons.
const FINISH_REASON_CHARS: usize = 64;

/// Why the answer cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// Text, reasoning and tool calls together went over `max_answer`.
    TooLarge,
    /// One event, or a whole body, cannot hold an answer within `max_answer`.
    EventTooLarge,
    TooManyCalls,
    /// The start of what could not be read.
    Unreadable(Vec<u8>),
    /// Readable, but no answer.
    NoAnswer(Vec<u8>),
    Server(ServerError),
    /// The end came before the answer's.
    Ended,
}

type OnDelta<'a> = &'a mut (dyn FnMut(ChatDelta<'_>) + Send);

/// A body being read.
pub struct Reading {
    form: Form,
    answer: Answer,
    /// Bytes that one event, or a whole body, may take.
    limit: usize,
    saw_event: bool,
}

/// The content type is not trusted: servers label errors and plain answers as streams.
enum Form {
    /// Only blanks so far, and this many bytes of a byte order mark.
    Unknown(usize),
    Json(Vec<u8>),
    Events(Decoder),
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

impl Reading {
    /// `max_answer` in bytes.
    pub fn new(max_answer: usize) -> Self {
        Self {
            form: Form::Unknown(0),
            answer: Answer { limit: max_answer, ..Answer::default() },
            limit: max_answer.saturating_mul(ESCAPE_FACTOR).saturating_add(ENVELOPE_BYTES),
            saw_event: false,
        }
    }

    /// Something of an answer has arrived; reasoning is not part of it.
    pub fn has_begun(&self) -> bool {
        self.answer.has_text || !self.answer.calls.is_empty()
    }

    /// The answer is complete, whatever may still follow.
    pub fn is_finished(&self) -> bool {
        self.answer.finish_reason.is_some()
    }

    /// Reads the next piece. True: the server has said that nothing follows.
    pub fn push(&mut self, bytes: &[u8], on_delta: OnDelta<'_>) -> Result<bool, Fault> {
        let bytes = match &mut self.form {
            Form::Unknown(mark) => {
                let Some(start) = start(bytes, mark) else { return Ok(false) };
                self.form = match bytes[start] {
                    b'{' | b'[' => Form::Json(Vec::new()),
                    _ => Form::Events(Decoder::new(self.limit)),
                };
                &bytes[start..]
            }
            _ => bytes,
        };
        let (answer, saw_event) = (&mut self.answer, &mut self.saw_event);
        match &mut self.form {
            Form::Events(decoder) => {
                let flow = decoder.push(bytes, |item| answer.take(item, saw_event, on_delta));
                done(flow.map_err(|_| Fault::EventTooLarge)?)
            }
            Form::Json(body) if body.len() + bytes.len() > self.limit => Err(Fault::EventTooLarge),
            Form::Json(body) => {
                body.extend_from_slice(bytes);
                Ok(false)
            }
            Form::Unknown(_) => Ok(false),
        }
    }

    /// The body has ended.
    pub fn end(&mut self, on_delta: OnDelta<'_>) -> Result<(), Fault> {
        let (answer, saw_event) = (&mut self.answer, &mut self.saw_event);
        let ended = match &mut self.form {
            Form::Unknown(_) => Err(Fault::Ended),
            Form::Json(body) => {
                let body = std::mem::take(body);
                return match answer.apply(&body, on_delta) {
                    Err(Fault::Unreadable(_)) if is_cut(&body) => Err(Fault::Ended),
                    other => other,
                };
            }
            Form::Events(decoder) => {
                match decoder.finish(|item| answer.take(item, saw_event, on_delta)) {
                    Ok(flow) => done(flow),
                    Err(_) => Err(Fault::EventTooLarge),
                }
            }
        };
        match ended {
            _ if self.is_finished() => Ok(()),
            Ok(true) => Ok(()),
            // A page of a site, say, whose last line has no end.
            Err(Fault::Unreadable(line)) if !self.saw_event && !b"data:".starts_with(&line) => {
                Err(Fault::Unreadable(line))
            }
            // The last event may have been cut by the end.
            Ok(false) | Err(Fault::Unreadable(_)) => Err(Fault::Ended),
            Err(fault) => Err(fault),
        }
    }

    pub fn into_reply(self) -> Result<ChatReply, Fault> {
        let answer = self.answer;
        if !answer.saw_choice {
            return Err(Fault::NoAnswer(answer.stranger));
        }
        Ok(ChatReply {
            has_text: answer.has_text,
            tool_calls: answer.calls.into_calls(),
            finish_reason: answer.finish_reason,
            usage: answer.usage,
        })
    }
}

/// Where the first byte is that tells the form of the body.
fn start(bytes: &[u8], mark: &mut usize) -> Option<usize> {
    for (at, byte) in bytes.iter().enumerate() {
        if BYTE_ORDER_MARK.get(*mark) == Some(byte) {
            *mark += 1;
        } else if !byte.is_ascii_whitespace() {
            return Some(at);
        }
    }
    None
}

fn done(flow: Flow<Result<(), Fault>>) -> Result<bool, Fault> {
    match flow {
        Flow::Continue(()) => Ok(false),
        Flow::Break(Ok(())) => Ok(true),
        Flow::Break(Err(fault)) => Err(fault),
    }
}

fn is_cut(json: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err_and(|error| error.is_eof())
}

fn excerpt(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(EXCERPT_BYTES)].to_vec()
}

/// What has come of the answer.
#[derive(Default)]
struct Answer {
    limit: usize,
    /// Bytes counted against the limit.
    spent: usize,
    has_text: bool,
    calls: Calls,
    finish_reason: Option<String>,
    usage: TokenUsage,
    /// The start of the first chunk that had no choices.
    stranger: Vec<u8>,
    saw_choice: bool,
}

impl Answer {
    /// `Break(Ok)` at the end of the answer.
    fn take(
        &mut self,
        item: Item<'_>,
        saw_event: &mut bool,
        on_delta: OnDelta<'_>,
    ) -> Flow<Result<(), Fault>> {
        let result = match item {
            Item::Event { data, error } => {
                *saw_event = true;
                match data.trim_ascii() {
                    b"" => Ok(()),
                    b"[DONE]" => return Flow::Break(Ok(())),
                    data if error => Err(Fault::Server(ServerError::from_body(data))),
                    data => self.apply(data, on_delta),
                }
            }
            // An error, or all chunks, sent without the form of an event.
            Item::Stray(line) if line.trim_ascii_start().starts_with(b"{") => {
                *saw_event = true;
                self.apply(line, on_delta)
            }
            Item::Stray(line) if !*saw_event => Err(Fault::Unreadable(excerpt(line))),
            Item::Stray(_) => Ok(()),
        };
        match result {
            Ok(()) => Flow::Continue(()),
            Err(fault) => Flow::Break(Err(fault)),
        }
    }

    /// One chunk, or a whole answer.
    fn apply(&mut self, json: &[u8], on_delta: OnDelta<'_>) -> Result<(), Fault> {
        let unreadable = |_| Fault::Unreadable(excerpt(json));
        // A list would be read as a struct by the order of its fields.
        if json.trim_ascii_start().starts_with(b"[") {
            let error = ServerError::from_body(json);
            return Err(match error.message {
                Some(_) if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok() => {
                    Fault::Server(error)
                }
                _ => Fault::Unreadable(excerpt(json)),
            });
        }
        // Checked as a whole it is read faster than checked string by string. What is not UTF-8
        // may stand where nobody looks.
        let chunk: serde_json::Result<Chunk<'_>> = match std::str::from_utf8(json) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(json),
        };
        let chunk = chunk.map_err(unreadable)?;
        if chunk::is_given(chunk.error) {
            return Err(Fault::Server(ServerError::from_body(json)));
        }
        self.count(chunk.usage, on_delta);
        let Some(choices) = chunk.choices else {
            let names_error = chunk.object.is_some_and(|object| object.get() == "\"error\"");
            let explains = chunk::is_given(chunk.message) || chunk::is_given(chunk.detail);
            if names_error || explains {
                return Err(Fault::Server(ServerError::from_body(json)));
            }
            if self.stranger.is_empty() {
                // Only if no answer follows it was meant to be one.
                self.stranger = excerpt(json);
            }
            return Ok(());
        };
        for choice in choices.items {
            self.saw_choice = true;
            if let Some(error) = choice.error.filter(|error| chunk::is_given(Some(error))) {
                return Err(Fault::Server(ServerError::from_error(error.get())));
            }
            if let Some(delta) = choice.delta {
                self.add(&delta, on_delta, json)?;
            }
            // A whole message after its deltas repeats them.
            if let Some(message) = choice.message
                && !self.has_text
                && self.calls.is_empty()
            {
                self.add(&message, on_delta, json)?;
            }
            self.count(choice.usage, on_delta);
            let reason = chunk::text(choice.finish_reason).map_err(unreadable)?;
            self.finish(&reason)?;
        }
        Ok(())
    }

    fn add(&mut self, delta: &Delta<'_>, on_delta: OnDelta<'_>, json: &[u8]) -> Result<(), Fault> {
        let unreadable = |_| Fault::Unreadable(excerpt(json));
        for raw in [delta.reasoning, delta.reasoning_content] {
            let reasoning = chunk::text(raw).map_err(unreadable)?;
            self.spend(reasoning.len())?;
        }
        for raw in [delta.content, delta.refusal] {
            let text = chunk::text(raw).map_err(unreadable)?;
            self.add_text(&text, on_delta)?;
        }
        let Some(fragments) = &delta.tool_calls else { return Ok(()) };
        if fragments.more {
            return Err(Fault::TooManyCalls);
        }
        for fragment in &fragments.items {
            let function = fragment.function.as_ref();
            let kept = self.calls.add(Piece {
                index: chunk::number(fragment.index),
                id: &chunk::text(fragment.id).map_err(unreadable)?,
                name: &chunk::text(function.and_then(|f| f.name)).map_err(unreadable)?,
                arguments: &chunk::arguments(function.and_then(|f| f.arguments))
                    .map_err(unreadable)?,
            });
            self.spend(kept.map_err(|_| Fault::TooManyCalls)?)?;
        }
        Ok(())
    }

    /// Of a text that goes over the limit, what fits is still told.
    fn add_text(&mut self, text: &str, on_delta: OnDelta<'_>) -> Result<(), Fault> {
        let room = self.limit.saturating_sub(self.spent);
        let fitting = &text[..text.floor_char_boundary(room)];
        if !fitting.is_empty() {
            self.has_text = true;
            on_delta(ChatDelta::Text(fitting));
        }
        self.spend(text.len())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > self.limit { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn count(&mut self, usage: Option<&RawValue>, on_delta: OnDelta<'_>) {
        if let Some(usage) = chunk::usage(usage).filter(|usage| *usage != self.usage) {
            self.usage = usage;
            on_delta(ChatDelta::Usage(usage));
        }
    }

    fn finish(&mut self, reason: &str) -> Result<(), Fault> {
        match reason {
            "" => Ok(()),
            "error" => {
                let error = r#"{"message": "it gave up the answer (finish_reason: error)"}"#;
                Err(Fault::Server(ServerError::from_error(error)))
            }
            reason => {
                self.finish_reason = Some(reason.chars().take(FINISH_REASON_CHARS).collect());
                Ok(())
            }
        }
    }
}
