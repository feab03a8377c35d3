//! Server-sent events, decoded as the bytes arrive, in bounded memory.
//!
//! No crate, since none of those tried limits the size of a line or an event. The best (sse-stream)
//! also drops the last event of a stream that ends without a blank line, ignores a bare JSON error
//! between events, and allocates a string for every event.

use memchr::memchr2;

/// A complete event or line of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// The data of one event, its lines joined by `\n`; `error` if the event was named so.
    Event { data: &'a [u8], error: bool },
    /// A line that is not part of the format.
    Stray(&'a [u8]),
}

/// A line or an event exceeds the limit. No part of it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// `Break` ends the decoding of this piece at once.
pub type Flow<B> = std::ops::ControlFlow<B>;

/// Holds one unfinished line and one unfinished event, each within the limit.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    is_error: bool,
    /// The last byte was a CR: an LF right after it is part of the same line end.
    after_cr: bool,
    first_line: bool,
}

impl Decoder {
    /// `limit`: bytes of one line, and of the data of one event.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            is_error: false,
            after_cr: false,
            first_line: true,
        }
    }

    /// Decodes the next piece of the stream, which may be cut anywhere.
    pub fn push<B>(
        &mut self,
        mut bytes: &[u8],
        mut on_item: impl FnMut(Item<'_>) -> Flow<B>,
    ) -> Result<Flow<B>, TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes)?;
                break;
            };
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            self.after_cr = bytes[end] == b'\r';
            bytes = rest;
            if let Flow::Break(value) = self.end_line(line, &mut on_item)? {
                return Ok(Flow::Break(value));
            }
        }
        Ok(Flow::Continue(()))
    }

    /// Takes the end of the stream. Its last line and event count even without an end of their own,
    /// since servers leave out the last blank line.
    pub fn finish<B>(
        &mut self,
        mut on_item: impl FnMut(Item<'_>) -> Flow<B>,
    ) -> Result<Flow<B>, TooLong> {
        if let Flow::Break(value) = self.end_line(&[], &mut on_item)? {
            return Ok(Flow::Break(value));
        }
        Ok(self.end_event(&mut on_item))
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + part.len() > self.limit {
            return Err(TooLong);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    /// Takes the line that ends with `part`. Copies it only if it began in an earlier piece.
    fn end_line<B>(
        &mut self,
        part: &[u8],
        on_item: &mut impl FnMut(Item<'_>) -> Flow<B>,
    ) -> Result<Flow<B>, TooLong> {
        if self.line.is_empty() {
            if part.len() > self.limit {
                return Err(TooLong);
            }
            return self.take_line(part, on_item);
        }
        self.keep(part)?;
        let mut line = std::mem::take(&mut self.line);
        let flow = self.take_line(&line, on_item);
        line.clear();
        self.line = line;
        flow
    }

    fn take_line<B>(
        &mut self,
        mut line: &[u8],
        on_item: &mut impl FnMut(Item<'_>) -> Flow<B>,
    ) -> Result<Flow<B>, TooLong> {
        if std::mem::take(&mut self.first_line) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return Ok(self.end_event(on_item));
        }
        let (field, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            // A comment. Servers send them to keep the connection alive.
            b"" => {}
            b"data" => self.add_data(value)?,
            b"event" => self.is_error = value == b"error",
            b"id" | b"retry" => {}
            _ => return Ok(on_item(Item::Stray(line))),
        }
        Ok(Flow::Continue(()))
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if self.data.len() + 1 + value.len() > self.limit {
            return Err(TooLong);
        }
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn end_event<B>(&mut self, on_item: &mut impl FnMut(Item<'_>) -> Flow<B>) -> Flow<B> {
        let error = std::mem::take(&mut self.is_error);
        if !std::mem::take(&mut self.has_data) {
            return Flow::Continue(());
        }
        let flow = on_item(Item::Event { data: &self.data, error });
        self.data.clear();
        flow
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every item as text, with the pieces cut where `cuts` says.
    fn decode(bytes: &[u8], cuts: &[usize], limit: usize) -> Result<Vec<String>, TooLong> {
        let mut decoder = Decoder::new(limit);
        let mut items = Vec::new();
        let mut on_item = |item: Item<'_>| {
            items.push(match item {
                Item::Event { data, error } => {
                    format!("{}{}", if error { "!" } else { "" }, String::from_utf8_lossy(data))
                }
                Item::Stray(line) => format!("?{}", String::from_utf8_lossy(line)),
            });
            Flow::<()>::Continue(())
        };
        let mut from = 0;
        for &cut in cuts.iter().filter(|cut| **cut <= bytes.len()) {
            let _ = decoder.push(&bytes[from..cut.max(from)], &mut on_item)?;
            from = cut.max(from);
        }
        let _ = decoder.push(&bytes[from..], &mut on_item)?;
        let _ = decoder.finish(&mut on_item)?;
        Ok(items)
    }

    #[test]
    fn every_form_of_events() {
        for (name, stream, expected) in [
            ("plain", "data: a\n\ndata: b\n\n", &["a", "b"][..]),
            ("no space", "data:a\n\ndata:b\n\n", &["a", "b"]),
            ("CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]),
            ("lone CR", "data: a\r\rdata: b\r\r", &["a", "b"]),
            ("BOM", "\u{feff}data: a\n\n", &["a"]),
            ("BOM only at the start", "data: a\n\n\u{feff}data: b\n\n", &["a", "?\u{feff}data: b"]),
            ("comments", ": keep-alive\n\n:\n\ndata: a\n\n", &["a"]),
            ("several data lines", "data: a\ndata\ndata: b\n\n", &["a\n\nb"]),
            ("other fields", "event: x\nid: 1\nretry: 2\ndata: a\n\n", &["a"]),
            ("error event", "event: error\ndata: a\n\ndata: b\n\n", &["!a", "b"]),
            ("no last blank line", "data: a\n\ndata: b\n", &["a", "b"]),
            ("no last line end", "data: a\n\ndata: b", &["a", "b"]),
            (
                "stray lines",
                "data: a\n\n{\"error\": 1}\n<html>\n",
                &["a", "?{\"error\": 1}", "?<html>"],
            ),
            ("nothing", "", &[]),
        ] {
            let bytes = stream.as_bytes();
            assert_eq!(decode(bytes, &[], 100).unwrap_or_default(), expected, "{name}");
            let every: Vec<usize> = (0..bytes.len()).collect();
            assert_eq!(decode(bytes, &every, 100).unwrap_or_default(), expected, "{name}, by byte");
        }
    }

    #[test]
    fn a_line_without_end_and_an_event_without_end_are_rejected() {
        for (piece, fitting) in
            [("xxxxxxxxxx", 100), ("data: 0123456789\n", 91), ("data:x\n: y\n", 500)]
        {
            let mut decoder = Decoder::new(1000);
            let mut push = || decoder.push(piece.as_bytes(), |_| Flow::<()>::Continue(()));
            assert_eq!((0..1000).position(|_| push().is_err()), Some(fitting), "{piece:?}");
            assert!(decoder.line.capacity() + decoder.data.capacity() <= 2048);
        }
    }

    #[test]
    fn a_break_ends_the_piece() {
        let mut seen = 0;
        let flow = Decoder::new(100).push(b"data: a\n\ndata: b\n\n", |_| {
            seen += 1;
            Flow::Break("enough")
        });
        assert_eq!((flow, seen), (Ok(Flow::Break("enough")), 1));
    }

    proptest! {
        #[test]
        fn memory_stays_within_the_limit(
            pieces in proptest::collection::vec("(data: )?[a-z]{0,40}\n?", 0..200),
        ) {
            let mut decoder = Decoder::new(64);
            for piece in &pieces {
                let _ = decoder.push(piece.as_bytes(), |_| Flow::<()>::Continue(()));
                prop_assert!(decoder.line.capacity() <= 256 && decoder.data.capacity() <= 256);
            }
        }
    }
}
