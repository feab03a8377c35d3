//! Prose in styles, wrapped between words.

use anstyle::Style;

use super::paint::paint;
use super::{Look, fit};

/// Columns that prose fills.
pub const MAX_WIDTH: usize = 100;
const INDENT: &str = "  ";

/// A piece of text in one style. A line end in it is kept.
#[derive(Debug, Clone)]
pub struct Span {
    pub text: String,
    pub style: Style,
}

impl Span {
    pub fn new(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// The lines of the text, none wider than `room` unless a single word is.
pub fn wrap(spans: &[Span], room: usize, colour: bool) -> Vec<String> {
    let mut lines = Lines { room, ..Lines::default() };
    for span in spans {
        let mut rest = span.text.as_str();
        while let Some(at) = rest.find([' ', '\n']) {
            lines.add(&rest[..at], span.style, colour);
            lines.end_word();
            if rest[at..].starts_with('\n') {
                lines.end_line();
            }
            rest = &rest[at + 1..];
        }
        lines.add(rest, span.style, colour);
    }
    lines.end_word();
    if lines.used > 0 {
        lines.end_line();
    }
    lines.done
}

/// A sentence of crew's, with a label: on a terminal wrapped between words, each further line
/// indented by two columns.
pub fn sentence(spans: &[Span], look: Look) -> String {
    if !look.wraps {
        return spans.iter().map(|span| paint(&span.text, span.style, look.colour)).collect();
    }
    let room = look.width.min(MAX_WIDTH).saturating_sub(INDENT.len()).max(1);
    wrap(spans, room, look.colour).join(&format!("\n{INDENT}"))
}

#[derive(Default)]
struct Lines {
    room: usize,
    done: Vec<String>,
    line: String,
    /// Columns of the line.
    used: usize,
    /// A word may change its style in its middle.
    word: String,
    word_width: usize,
}

impl Lines {
    fn add(&mut self, text: &str, style: Style, colour: bool) {
        self.word.push_str(&paint(text, style, colour));
        self.word_width += fit::width(text);
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        if self.used > 0 && self.used + 1 + self.word_width > self.room {
            self.end_line();
        }
        if self.used > 0 {
            self.line.push(' ');
            self.used += 1;
        }
        self.line.push_str(&std::mem::take(&mut self.word));
        self.used += std::mem::take(&mut self.word_width);
    }

    fn end_line(&mut self) {
        self.done.push(std::mem::take(&mut self.line));
        self.used = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::paint::{PLAIN, STRONG};

    fn span(text: &str, style: Style) -> Span {
        Span { text: text.to_owned(), style }
    }

    #[test]
    fn lines_break_between_words_only() {
        let spans = [span("one two ", PLAIN), span("three", STRONG), span(", four\nfive", PLAIN)];
        assert_eq!(wrap(&spans, 9, false), ["one two", "three,", "four", "five"]);
        assert_eq!(wrap(&spans, 14, true)[0], "one two \u{1b}[1mthree\u{1b}[0m,");
        assert_eq!(wrap(&[span("abcdefgh i", PLAIN)], 3, false), ["abcdefgh", "i"]);
        assert!(wrap(&[span(" \n", PLAIN)], 3, false).concat().is_empty());
        assert_eq!(wrap(&[span("名前 名前", PLAIN)], 5, false), ["名前", "名前"]);
    }
}
