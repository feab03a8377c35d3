//! The answer that a model is writing, for a display that looks at it now and then.

use std::fmt;

use parking_lot::Mutex;

use crate::secret::Secrets;

/// Bytes of the end of an answer that are kept at least.
const TAIL: usize = 2 * 1024;

/// The end of one answer while it is written. Costs a copy of the text and no event, so a thousand
/// agents may write at once; its readers redact it.
#[derive(Default)]
pub struct LiveAnswer(Mutex<Written>);

#[derive(Default)]
struct Written {
    bytes: usize,
    tail: String,
    kept: Kept,
    /// Bytes of text, reasoning and tool calls, as far as they are known.
    all: usize,
    is_reasoning: bool,
}

/// What a reader that wants more than the end has not taken yet.
#[derive(Default)]
struct Kept {
    text: String,
    /// Bytes that it still keeps.
    room: usize,
    is_new: bool,
}

/// A piece of an answer without secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// What follows the pieces before.
    pub text: String,
    /// What follows for now: the next piece begins in its place.
    pub end: String,
}

impl LiveAnswer {
    pub fn push(&self, text: &str) {
        let mut written = self.0.lock();
        written.bytes += text.len();
        written.kept.push(text);
        written.all = written.all.max(written.bytes);
        written.is_reasoning = false;
        let text = &text[text.ceil_char_boundary(text.len().saturating_sub(TAIL))..];
        written.tail.push_str(text);
        if written.tail.len() > 2 * TAIL {
            let start = written.tail.ceil_char_boundary(written.tail.len() - TAIL);
            written.tail.drain(..start);
        }
    }

    /// Takes the bytes of text, reasoning and tool calls so far. `is_reasoning`: there is neither
    /// text nor a call yet.
    pub fn grow_to(&self, bytes: usize, is_reasoning: bool) {
        let mut written = self.0.lock();
        written.all = written.all.max(bytes);
        written.is_reasoning = is_reasoning;
    }

    /// Bytes of text, reasoning and tool calls so far.
    pub fn all_bytes(&self) -> usize {
        self.0.lock().all
    }

    pub fn is_reasoning(&self) -> bool {
        self.0.lock().is_reasoning
    }

    /// Bytes of text so far.
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// The end of the text without secrets, and without parts of them at either end.
    pub fn tail(&self, secrets: &Secrets) -> String {
        let written = self.0.lock();
        secrets.redact_part(&written.tail, written.bytes > written.tail.len())
    }

    /// Keeps the text from now on for [`LiveAnswer::take`], up to this many bytes of it.
    pub fn keep(&self, max: usize) {
        self.0.lock().kept.room = max;
    }

    /// What was kept since the last time; `None` if that is nothing.
    pub fn take(&self, secrets: &Secrets) -> Option<Piece> {
        let kept = &mut self.0.lock().kept;
        if !std::mem::take(&mut kept.is_new) {
            return None;
        }
        let rest = kept.text.split_off(secrets.settled(&kept.text));
        let text = secrets.redact(std::mem::replace(&mut kept.text, rest));
        Some(Piece { text, end: secrets.redact_part(&kept.text, false) })
    }
}

impl Kept {
    fn push(&mut self, text: &str) {
        let part = &text[..text.floor_char_boundary(self.room)];
        self.text.push_str(part);
        self.is_new |= !part.is_empty();
        // Nothing follows a gap.
        self.room = if part.len() < text.len() { 0 } else { self.room - part.len() };
    }
}

impl fmt::Debug for LiveAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LiveAnswer({} bytes)", self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept() {
        let answer = LiveAnswer::default();
        let secrets = Secrets::default();
        for number in 0..3000 {
            answer.push(&format!("ä{number} "));
        }
        let tail = answer.tail(&secrets);
        assert!(tail.ends_with("ä2998 ä2999 "), "{tail}");
        assert!(tail.len() <= 2 * TAIL && answer.bytes() > 2 * TAIL);
        answer.push(&"x".repeat(10_000_000));
        assert!(answer.tail(&secrets).len() <= 3 * TAIL);
    }

    #[test]
    fn a_reader_takes_the_text_in_pieces_without_secrets() {
        let secrets = Secrets::default();
        secrets.add("sk-0123456789abcdef");
        let answer = LiveAnswer::default();
        answer.push("not kept");
        answer.keep(50);
        let piece = |text: &str, end: &str| Some(Piece { text: text.into(), end: end.into() });
        for (pushed, expected) in [
            ("", None),
            ("the keys", piece("the key", "s")),
            (" are sk-012345678", piece("s are ", "[redacted]")),
            ("9abcdef", piece("[redacted]", "")),
            (" sk", piece(" ", "sk")),
            ("", None),
            ("-0!äää.......", piece("sk-0!äää......", "")),
            ("more", None),
        ] {
            answer.push(pushed);
            assert_eq!(answer.take(&secrets), expected, "{pushed}");
        }
    }

    #[test]
    fn a_secret_is_never_shown_however_it_arrives() {
        let secrets = Secrets::default();
        secrets.add("sk-0123456789abcdef");
        let answer = LiveAnswer::default();
        answer.push("the key is ");
        for piece in ["sk-01", "23456", "789abc", "def", " and more"] {
            answer.push(piece);
            let tail = answer.tail(&secrets);
            assert!(!tail.contains("sk-0"), "{tail}");
        }
        assert_eq!(answer.tail(&secrets), "the key is [redacted] and more");
        // The start of the kept text is in the middle of a key.
        for shift in 0..40 {
            let answer = LiveAnswer::default();
            answer.push(&"sk-0123456789abcdef".repeat(200));
            answer.push(&"x".repeat(shift));
            let tail = answer.tail(&secrets);
            assert!(!tail.contains("9abc") && !tail.contains("sk-0"), "{tail}");
        }
    }
}
