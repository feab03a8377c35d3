//! The body of a response, decoded as it arrives: from bytes to events, and from these to a reply.
//!
//! Without IO and clock, so that every form a server may choose is a plain test. The meaning of an
//! event's JSON is its API's business: see [`ChunkParser`].

use super::answer::{AnswerBuilder, BodyError, excerpt};
use super::protocol::{ChunkParser, Progress};
use super::request::OnDelta;
use super::server_error::ServerError;
use super::sse::{Decoder, Flow, Item};
use crate::chat::{ChatReply, NativeTurn};
use crate::text::json::{self, Halves};
use crate::untrusted::Untrusted;

/// JSON may write one byte as six (`\u0000`), and has keys around the text.
const ESCAPE_FACTOR: usize = 6;
const ENVELOPE_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

pub struct BodyDecoder {
    form: Form,
    events: EventReader,
    /// The limit of one event, or of a whole body, in bytes.
    limit: usize,
}

/// Recognized by the first byte. The content type is not trusted: servers label errors and plain
/// answers as streams.
enum Form {
    /// So far only whitespace, and this many bytes of a byte order mark.
    Unknown(usize),
    Json(Vec<u8>),
    Events(Decoder),
}

impl BodyDecoder {
    /// `max_answer` in bytes.
    pub fn new(max_answer: usize, parser: Box<dyn ChunkParser>) -> Self {
        let answer = AnswerBuilder::new(max_answer);
        Self {
            form: Form::Unknown(0),
            events: EventReader { answer, parser, saw_event: false },
            limit: max_answer.saturating_mul(ESCAPE_FACTOR).saturating_add(ENVELOPE_BYTES),
        }
    }

    /// Whether any text or call has arrived. Reasoning does not count.
    pub fn has_begun(&self) -> bool {
        self.events.answer.has_begun()
    }

    /// A note on the end of the answer, if crew does not know the server's reason for it.
    pub fn unknown_end(&self) -> Option<Untrusted> {
        self.events.answer.unknown_end()
    }

    /// Bytes of text, reasoning and tool calls so far.
    pub fn written(&self) -> usize {
        self.events.answer.written()
    }

    /// Whether the answer is complete, whatever may still follow.
    pub fn is_finished(&self) -> bool {
        self.events.answer.is_finished()
    }

    /// Decodes the next piece.
    pub fn push(&mut self, bytes: &[u8], on_delta: OnDelta<'_>) -> Result<Progress, BodyError> {
        let bytes = match &mut self.form {
            Form::Unknown(mark) => {
                let Some(start) = start(bytes, mark) else { return Ok(Progress::More) };
                self.form = match bytes[start] {
                    b'{' | b'[' => Form::Json(Vec::new()),
                    _ => Form::Events(Decoder::new(self.limit)),
                };
                &bytes[start..]
            }
            _ => bytes,
        };
        let events = &mut self.events;
        match &mut self.form {
            Form::Events(decoder) => {
                let flow = decoder.push(bytes, |item| events.read(item, on_delta));
                let progress = progress(flow.map_err(|_| BodyError::EventTooLarge)?)?;
                if progress == Progress::Complete {
                    events.answer.end_text(on_delta);
                }
                Ok(progress)
            }
            Form::Json(body) if body.len() + bytes.len() > self.limit => {
                Err(BodyError::EventTooLarge)
            }
            Form::Json(body) => {
                body.extend_from_slice(bytes);
                Ok(Progress::More)
            }
            Form::Unknown(_) => Ok(Progress::More),
        }
    }

    /// Takes the end of the body.
    pub fn end(&mut self, on_delta: OnDelta<'_>) -> Result<(), BodyError> {
        let ended = self.end_form(on_delta);
        self.events.answer.end_text(on_delta);
        ended
    }

    fn end_form(&mut self, on_delta: OnDelta<'_>) -> Result<(), BodyError> {
        let events = &mut self.events;
        let ended = match &mut self.form {
            Form::Unknown(_) => Err(BodyError::Ended),
            Form::Json(body) => {
                let body = std::mem::take(body);
                return match events.read_json(&body, on_delta) {
                    Err(BodyError::Unreadable(_)) if is_cut(&body) => Err(BodyError::Ended),
                    Err(error) => Err(error),
                    Ok(_) => Ok(()),
                };
            }
            Form::Events(decoder) => match decoder.finish(|item| events.read(item, on_delta)) {
                Ok(flow) => progress(flow),
                Err(_) => Err(BodyError::EventTooLarge),
            },
        };
        match ended {
            _ if self.is_finished() => Ok(()),
            Ok(Progress::Complete) => Ok(()),
            Ok(Progress::More) if self.events.may_end() => Ok(()),
            // The last line of a web page, for example, may have no end.
            Err(BodyError::Unreadable(line))
                if !self.events.saw_event && !b"data:".starts_with(&line) =>
            {
                Err(BodyError::Unreadable(line))
            }
            // The end may have cut the last event.
            Ok(Progress::More) | Err(BodyError::Unreadable(_)) => Err(BodyError::Ended),
            Err(error) => Err(error),
        }
    }

    /// The reply of the model that `model_ref` names as `provider/model`.
    pub fn into_reply(self, model_ref: &str) -> Result<ChatReply, BodyError> {
        let EventReader { answer, parser, .. } = self.events;
        answer.into_reply(|calls| {
            let parts = parser.native(calls);
            let model_ref = model_ref.into();
            (!parts.is_empty()).then(|| NativeTurn { model_ref, parts: parts.into() })
        })
    }
}

/// The position of the first byte that shows the form of the body.
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

fn progress(flow: Flow<Result<(), BodyError>>) -> Result<Progress, BodyError> {
    match flow {
        Flow::Continue(()) => Ok(Progress::More),
        Flow::Break(Ok(())) => Ok(Progress::Complete),
        Flow::Break(Err(error)) => Err(error),
    }
}

fn is_cut(json: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(json).is_err_and(|error| error.is_eof())
}

/// Passes events to the parser.
struct EventReader {
    answer: AnswerBuilder,
    parser: Box<dyn ChunkParser>,
    saw_event: bool,
}

impl EventReader {
    fn may_end(&self) -> bool {
        self.parser.may_end(&self.answer)
    }

    /// Breaks at the end of the answer, or with an error.
    fn read(&mut self, item: Item<'_>, on_delta: OnDelta<'_>) -> Flow<Result<(), BodyError>> {
        let result = match item {
            Item::Event { data, error } => {
                self.saw_event = true;
                match data.trim_ascii() {
                    b"" => Ok(Progress::More),
                    b"[DONE]" => Ok(Progress::Complete),
                    data if error => Err(BodyError::Server(ServerError::from_body(data))),
                    data => self.read_json(data, on_delta),
                }
            }
            // An error, or every chunk, sent without the form of an event.
            Item::Stray(line) if line.trim_ascii_start().starts_with(b"{") => {
                self.saw_event = true;
                self.read_json(line, on_delta)
            }
            Item::Stray(line) if !self.saw_event => Err(BodyError::Unreadable(excerpt(line))),
            Item::Stray(_) => Ok(Progress::More),
        };
        match result {
            Ok(Progress::More) => Flow::Continue(()),
            Ok(Progress::Complete) => Flow::Break(Ok(())),
            Err(error) => Flow::Break(Err(error)),
        }
    }

    /// Reads the data of one event, or a whole response.
    fn read_json(&mut self, json: &[u8], on_delta: OnDelta<'_>) -> Result<Progress, BodyError> {
        let tidied = json::tidy(json, Halves::KeepAtEnds);
        let tidied = tidied.map_err(|_| BodyError::Unreadable(excerpt(json)))?;
        let json = tidied.as_bytes();
        // serde would read a list as a struct, by the order of its fields.
        if json.trim_ascii_start().starts_with(b"[") {
            let error = ServerError::from_body(json);
            return Err(match error.message {
                Some(_) if serde_json::from_slice::<serde::de::IgnoredAny>(json).is_ok() => {
                    BodyError::Server(error)
                }
                _ => BodyError::Unreadable(excerpt(json)),
            });
        }
        self.parser.read(json, &mut self.answer, on_delta).map_err(|error| match error {
            BodyError::Unreadable(_) => BodyError::Unreadable(excerpt(json)),
            other => other,
        })
    }
}
