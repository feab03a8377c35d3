//! The answer that a model is writing, for a display that looks at it now and then.

use std::fmt;

use parking_lot::Mutex;

use crate::secret::Secrets;

/// Bytes of the end of an answer that are kept at least.
const TAIL: usize = 2 * 1024;

/// The end of one answer while it is written. Costs a copy of the text and no event, so a thousand
/// agents may write at once; its reader redacts it.
#[derive(Default)]
pub struct LiveAnswer(Mutex<Written>);

#[derive(Default)]
struct Written {
    bytes: usize,
    tail: String,
}

impl LiveAnswer {
    pub fn push(&self, text: &str) {
        let mut written = self.0.lock();
        written.bytes += text.len();
        let text = &text[text.ceil_char_boundary(text.len().saturating_sub(TAIL))..];
        written.tail.push_str(text);
        if written.tail.len() > 2 * TAIL {
            let start = written.tail.ceil_char_boundary(written.tail.len() - TAIL);
            written.tail.drain(..start);
        }
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
