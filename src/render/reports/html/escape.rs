//! Text within HTML: nothing in it is markup, a control character or a change of direction.

use std::fmt;

use crate::text::{inline, sanitize};

/// A text with its lines.
pub struct Text<'a>(pub &'a str);

/// A text on one line.
pub struct Inline<'a>(pub &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&sanitize(self.0), formatter)
    }
}

impl fmt::Display for Inline<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(&inline(self.0), formatter)
    }
}

fn escape(text: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        formatter.write_str(&rest[..at])?;
        formatter.write_str(match rest.as_bytes()[at] {
            b'&' => "&amp;",
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&#39;",
        })?;
        rest = &rest[at + 1..];
    }
    formatter.write_str(rest)
}
