//! The part of a response that is kept: text within a limit, or the type and size of other bodies.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::text::{Excerpt, HeadTail};

/// Bytes of a body that are read, after decompression.
pub const MAX_BODY: u64 = 64 << 20;
/// Bytes at the start of a body that decide whether it is text.
const SNIFF_LENGTH: usize = 512;

/// A response that is being received.
#[derive(Debug)]
pub struct Received {
    /// The status of the latest response, redirects included.
    pub status: Option<StatusCode>,
    /// In lower case, without parameters; empty if the response has none.
    media_type: String,
    /// The start of the body.
    start: Vec<u8>,
    /// The number of bytes read so far.
    read: u64,
    capture: HeadTail,
}

impl Received {
    pub fn new(capture: HeadTail) -> Self {
        Self { status: None, media_type: String::new(), start: Vec::new(), read: 0, capture }
    }

    /// Prepares for the body of the response with these headers.
    pub fn begin(&mut self, headers: &HeaderMap) {
        let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let valid = |byte: &&u8| byte.is_ascii_alphanumeric() || b"/.+-".contains(byte);
        let media_type = media_type.iter().filter(valid).take(100);
        self.media_type = media_type.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }

    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    /// Whether more of the body should be read.
    pub fn has_room(&self) -> bool {
        self.read < MAX_BODY
    }

    /// Adds a piece of the body.
    pub fn push(&mut self, piece: &[u8]) {
        let missing = SNIFF_LENGTH - self.start.len();
        self.start.extend_from_slice(&piece[..piece.len().min(missing)]);
        self.read += piece.len() as u64;
        self.capture.push(piece);
    }

    /// Keeps the headers, for a response without a body.
    pub fn keep_headers(&mut self, headers: &HeaderMap) {
        // Cookies are credentials.
        for (name, value) in headers.iter().filter(|(name, _)| *name != SET_COOKIE) {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
                self.capture.push(piece);
            }
        }
    }

    /// Returns the text that was kept, or a description of the body, and whether all of it was
    /// read.
    pub fn finish(self) -> (Excerpt, bool) {
        let is_whole = self.has_room();
        if self.is_text() {
            return (self.capture.finish(), is_whole);
        }
        let media_type = match self.media_type.as_str() {
            "" => "unknown type",
            media_type => media_type,
        };
        let text = format!("[binary: {media_type}, {} bytes]", self.read);
        (Excerpt::whole(text), is_whole)
    }

    fn is_text(&self) -> bool {
        let (kind, subtype) = self.media_type.split_once('/').unwrap_or_default();
        let suffix = subtype.rsplit_once('+').map_or(subtype, |(_, suffix)| suffix);
        match (kind, suffix) {
            ("text", _) | (_, "json" | "xml" | "yaml" | "javascript" | "x-www-form-urlencoded") => {
                true
            }
            ("image" | "audio" | "video" | "font", _) => false,
            _ => looks_like_text(&self.start),
        }
    }
}

fn looks_like_text(start: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(start) {
        Ok(_) => true,
        // No length: the last character is incomplete.
        Err(error) => error.error_len().is_none(),
    };
    is_utf8 && !start.contains(&0)
}

/// The status as in `HTTP 404 Not Found`.
pub fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("HTTP {} {reason}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_distinguished_from_binary_data() {
        for (media_type, body, is_text) in [
            ("application/json", &b"\xff"[..], true),
            ("application/problem+json; charset=utf-8", b"{}", true),
            ("image/svg+xml", b"<svg/>", true),
            ("TEXT/html", b"<p>", true),
            ("image/png", b"looks like text", false),
            ("application/octet-stream", b"looks like text", true),
            ("application/octet-stream", b"a\0b", false),
            ("", b"plain", true),
            ("", b"", true),
            ("", b"caf\xc3", true),
            ("", b"\x89PNG", false),
            ("\x1b[31m", b"\x89PNG", false),
        ] {
            let mut received = Received::new(HeadTail::new(1000));
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(media_type.as_bytes()) {
                headers.insert(CONTENT_TYPE, value);
            }
            received.begin(&headers);
            received.push(body);
            let (output, _) = received.finish();
            assert_eq!(!output.text.starts_with("[binary: "), is_text, "{media_type} {body:?}");
        }
    }

    #[test]
    fn the_size_of_a_body_is_limited() {
        let mut received = Received::new(HeadTail::new(1000));
        let piece = vec![b'x'; 1 << 20];
        while received.has_room() {
            received.push(&piece);
        }
        let (output, is_whole) = received.finish();
        assert!(!is_whole && output.truncated && output.text.len() < 1100);
    }
}
