//! What is kept of an answer: text within its limit, of anything else its type and its size.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};

use crate::text::{Excerpt, HeadTail};

/// Bytes that are read of an answer, unpacked.
const MOST_READ: u64 = 64 << 20;
/// Bytes by which text is told from anything else.
const SNIFFED: usize = 512;

#[derive(Debug)]
pub struct Received {
    /// That of the latest answer.
    pub status: Option<StatusCode>,
    media_type: String,
    sniffed: Vec<u8>,
    read: u64,
    capture: HeadTail,
}

impl Received {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            status: None,
            media_type: String::new(),
            sniffed: Vec::new(),
            read: 0,
            capture: HeadTail::new(limit),
        }
    }

    /// The body of the answer with these headers comes now.
    pub fn begin(&mut self, headers: &HeaderMap) {
        let media_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let media_type = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let known = |byte: &&u8| byte.is_ascii_alphanumeric() || b"/.+-".contains(byte);
        let media_type = media_type.iter().filter(known).take(100);
        self.media_type = media_type.map(|byte| char::from(byte.to_ascii_lowercase())).collect();
    }

    pub fn is_success(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }

    pub fn has_room(&self) -> bool {
        self.read < MOST_READ
    }

    pub fn push(&mut self, piece: &[u8]) {
        let missing = SNIFFED - self.sniffed.len();
        self.sniffed.extend_from_slice(&piece[..piece.len().min(missing)]);
        self.read += piece.len() as u64;
        self.capture.push(piece);
    }

    /// For an answer that has nothing but headers.
    pub fn keep_headers(&mut self, headers: &HeaderMap) {
        // A cookie is a credential.
        for (name, value) in headers.iter().filter(|(name, _)| *name != SET_COOKIE) {
            for piece in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"] {
                self.capture.push(piece);
            }
        }
    }

    /// What there is of it, and whether it was read to its end.
    pub fn finish(self) -> (Excerpt, bool) {
        let is_whole = self.has_room();
        if self.is_text() {
            return (self.capture.finish(), is_whole);
        }
        let media_type = match self.media_type.as_str() {
            "" => "of an unknown type",
            known => known,
        };
        let text = format!("[binary: {media_type}, {} bytes]", self.read);
        (Excerpt { text, truncated: false }, is_whole)
    }

    fn is_text(&self) -> bool {
        let (kind, subtype) = self.media_type.split_once('/').unwrap_or_default();
        let says_text = kind == "text"
            || ["json", "xml", "yaml", "javascript", "x-www-form-urlencoded"]
                .iter()
                .any(|text| subtype == *text || subtype.ends_with(&format!("+{text}")));
        let says_binary = matches!(kind, "image" | "audio" | "video" | "font");
        says_text || !says_binary && looks_like_text(&self.sniffed)
    }
}

fn looks_like_text(head: &[u8]) -> bool {
    // A character may be cut in two at the end.
    let is_utf8 =
        std::str::from_utf8(head).map_or_else(|error| error.error_len().is_none(), |_| true);
    is_utf8 && !head.contains(&0)
}

/// As people know it: `HTTP 404 Not Found`.
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
    fn text_is_told_from_anything_else() {
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
            let mut received = Received::new(1000);
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
    fn reading_ends_somewhere() {
        let mut received = Received::new(1000);
        let piece = vec![b'x'; 1 << 20];
        while received.has_room() {
            received.push(&piece);
        }
        let (output, is_whole) = received.finish();
        assert!(!is_whole && output.truncated && output.text.len() < 1100);
    }
}
