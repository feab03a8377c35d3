//! Long output within a limit: its head and its tail.

use std::collections::VecDeque;

/// The marker between head and tail, before and after the number of bytes left out.
pub const LEFT_OUT: (&str, &str) = ("\n[… ", " bytes left out …]\n");

/// Collects bytes up to a limit, half of it from the beginning and half from the end.
#[derive(Debug)]
pub struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_limit: usize,
    tail_limit: usize,
    left_out: u64,
}

/// The text that was kept, and whether its middle was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    pub text: String,
    pub truncated: bool,
    /// Where the tail begins in `text`, in bytes; 0 if nothing was left out.
    pub tail_start: usize,
}

impl Excerpt {
    /// A text of which nothing was left out.
    pub fn whole(text: String) -> Self {
        Self { text, truncated: false, tail_start: 0 }
    }
}

impl HeadTail {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Self {
        let head_limit = limit.div_ceil(2);
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_limit,
            tail_limit: limit - head_limit,
            left_out: 0,
        }
    }

    /// Keeps the beginning only.
    pub fn head(limit: usize) -> Self {
        Self { head_limit: limit, tail_limit: 0, ..Self::new(0) }
    }

    /// Whether there were more bytes than the limit.
    pub fn is_over(&self) -> bool {
        self.left_out > 0
    }

    pub fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.head_limit - self.head.len()));
        self.head.extend_from_slice(head);
        // Of one long piece only its end can survive in the tail.
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(self.tail_limit));
        let overflow = (self.tail.len() + rest.len()).saturating_sub(self.tail_limit);
        self.tail.drain(..overflow);
        self.tail.extend(rest);
        self.left_out += (skipped.len() + overflow) as u64;
    }

    /// The output as text. What is not UTF-8 becomes the replacement character.
    pub fn finish(self) -> Excerpt {
        let mut bytes = self.head;
        if self.left_out == 0 {
            bytes.extend(self.tail);
            return Excerpt::whole(into_text(bytes));
        }
        if self.tail_limit == 0 {
            let text = into_text(bytes);
            return Excerpt { tail_start: text.len(), text, truncated: true };
        }
        let (before, after) = LEFT_OUT;
        let mut text = format!("{}{before}{}{after}", into_text(bytes), self.left_out);
        let tail_start = text.len();
        text.push_str(&into_text(self.tail.into()));
        Excerpt { text, truncated: true, tail_start }
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(limit: usize, pieces: &[&[u8]]) -> Excerpt {
        let mut capture = HeadTail::new(limit);
        for piece in pieces {
            capture.push(piece);
        }
        capture.finish()
    }

    #[test]
    fn what_fits_is_kept_whole_however_it_arrives() {
        let whole = Excerpt::whole("0123456789".into());
        assert_eq!(captured(10, &[b"0123456789"]), whole);
        assert_eq!(captured(10, &[b"0123", b"", b"456", b"789"]), whole);
    }

    #[test]
    fn what_goes_over_loses_its_middle() {
        let text = "012\n[… 4 bytes left out …]\n789";
        let tail_start = text.find("789").unwrap_or_default();
        let cut = Excerpt { text: text.into(), truncated: true, tail_start };
        assert_eq!(captured(6, &[b"0123456789"]), cut);
        assert_eq!(captured(6, &[b"01", b"2345", b"6", b"789"]), cut);
    }

    #[test]
    fn bytes_that_are_no_text_become_the_replacement_character() {
        assert_eq!(captured(9, &[b"a\xffb"]).text, "a\u{fffd}b");
    }

    #[test]
    fn memory_stays_within_the_limit() {
        let mut capture = HeadTail::new(1000);
        for _ in 0..10_000 {
            capture.push(&[b'x'; 997]);
        }
        assert!(capture.head.capacity() + capture.tail.capacity() <= 4096);
    }
}
