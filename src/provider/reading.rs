//! The body of an answer, read as it arrives: from bytes to events, and from these to a reply.
//!
//! No IO and no clock, so that every way a server can put it is a plain test. What the JSON of an
//! event means is the business of its protocol's [`Parser`].

use super::draft::{Draft, Fault, OnDelta, Stop, excerpt};
use super::failure::ServerError;
use super::protocol::Parser;
use super::sse::{Decoder, Flow, Item};
use crate::chat::{ChatReply, NativeTurn};

/// JSON may write a byte as six (`\u0000`), and has keys around the text.
const ESCAPE_FACTOR: usize = 6;
const ENVELOPE_BYTES: usize = 64 * 1024;

/// A body being read.
pub struct Reading {
    form: Form,
    answer: Answer,
    /// Bytes that one event, or a whole body, may take.
    limit: usize,
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
    pub fn new(max_answer: usize, parser: Box<dyn Parser>) -> Self {
        Self {
            form: Form::Unknown(0),
            answer: Answer { draft: Draft::new(max_answer), parser, saw_event: false },
            limit: max_answer.saturating_mul(ESCAPE_FACTOR).saturating_add(ENVELOPE_BYTES),
        }
    }

    /// Something of an answer has arrived; reasoning is not part of it.
    pub fn has_begun(&self) -> bool {
        self.answer.draft.has_begun()
    }

    /// The answer is complete, whatever may still follow.
    pub fn is_finished(&self) -> bool {
        self.answer.draft.is_finished()
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
        let answer = &mut self.answer;
        match &mut self.form {
            Form::Events(decoder) => {
                let flow = decoder.push(bytes, |item| answer.take(item, on_delta));
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
        let answer = &mut self.answer;
        let ended = match &mut self.form {
            Form::Unknown(_) => Err(Fault::Ended),
            Form::Json(body) => {
                let body = std::mem::take(body);
                return match answer.apply(&body, on_delta) {
                    Err(Fault::Unreadable(_)) if is_cut(&body) => Err(Fault::Ended),
                    other => other.map(|_| ()),
                };
            }
            Form::Events(decoder) => match decoder.finish(|item| answer.take(item, on_delta)) {
                Ok(flow) => done(flow),
                Err(_) => Err(Fault::EventTooLarge),
            },
        };
        match ended {
            _ if self.is_finished() => Ok(()),
            Ok(true) => Ok(()),
            Ok(false) if self.answer.parser.may_end(&self.answer.draft) => Ok(()),
            // A page of a site, say, whose last line has no end.
            Err(Fault::Unreadable(line))
                if !self.answer.saw_event && !b"data:".starts_with(&line) =>
            {
                Err(Fault::Unreadable(line))
            }
            // The last event may have been cut by the end.
            Ok(false) | Err(Fault::Unreadable(_)) => Err(Fault::Ended),
            Err(fault) => Err(fault),
        }
    }

    /// `by` is who answered: see [`NativeTurn`].
    pub fn into_reply(self, by: &str) -> Result<ChatReply, Fault> {
        let Answer { draft, parser, .. } = self.answer;
        draft.into_reply(|calls| {
            let parts = parser.native(calls);
            (!parts.is_empty()).then(|| NativeTurn { by: by.into(), parts: parts.into() })
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

/// Events on their way to the parser.
struct Answer {
    draft: Draft,
    parser: Box<dyn Parser>,
    saw_event: bool,
}

impl Answer {
    /// `Break(Ok)` at the end of the answer.
    fn take(&mut self, item: Item<'_>, on_delta: OnDelta<'_>) -> Flow<Result<(), Fault>> {
        let result = match item {
            Item::Event { data, error } => {
                self.saw_event = true;
                match data.trim_ascii() {
                    b"" => Ok(false),
                    b"[DONE]" => Ok(true),
                    data if error => Err(Fault::Server(ServerError::from_body(data))),
                    data => self.apply(data, on_delta),
                }
            }
            // An error, or all chunks, sent without the form of an event.
            Item::Stray(line) if line.trim_ascii_start().starts_with(b"{") => {
                self.saw_event = true;
                self.apply(line, on_delta)
            }
            Item::Stray(line) if !self.saw_event => Err(Fault::Unreadable(excerpt(line))),
            Item::Stray(_) => Ok(false),
        };
        match result {
            Ok(false) => Flow::Continue(()),
            Ok(true) => Flow::Break(Ok(())),
            Err(fault) => Flow::Break(Err(fault)),
        }
    }

    /// One event's data, or a whole answer. True: nothing follows.
    fn apply(&mut self, json: &[u8], on_delta: OnDelta<'_>) -> Result<bool, Fault> {
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
        self.parser.read(json, &mut self.draft, on_delta).map_err(|stop| match stop {
            Stop::Unreadable => Fault::Unreadable(excerpt(json)),
            Stop::Fault(fault) => fault,
        })
    }
}
