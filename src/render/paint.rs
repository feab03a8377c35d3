//! Colours, and lines that are cut to a width before they are coloured.

use anstyle::{AnsiColor, Style};

use super::fit;

pub const PLAIN: Style = Style::new();
pub const STRONG: Style = Style::new().bold();
pub const FAINT: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const WARN: Style = AnsiColor::Yellow.on_default();

/// Returns `text` in `style`, or unchanged without colours.
pub fn paint(text: &str, style: Style, colour: bool) -> String {
    if colour && style != PLAIN && !text.is_empty() {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// One line that is never wider than its room, whatever its colours.
#[derive(Debug)]
pub struct Line {
    text: String,
    room: usize,
    colour: bool,
}

impl Line {
    pub fn new(room: usize, colour: bool) -> Self {
        Self { text: String::new(), room, colour }
    }

    /// Appends text, cut to the rest of the room.
    pub fn push(&mut self, text: &str, style: Style) -> &mut Self {
        let fitted = fit::cut(text, self.room);
        self.room = if fitted.len() == text.len() {
            self.room.saturating_sub(fit::width(&fitted))
        } else {
            // Nothing may follow an ellipsis.
            0
        };
        self.text.push_str(&paint(&fitted, style, self.colour));
        self
    }

    /// The rest of the room, in columns.
    pub fn room(&self) -> usize {
        self.room
    }

    /// The line without trailing blanks.
    pub fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_before_it_is_coloured() {
        let mut line = Line::new(6, true);
        line.push("ab", GOOD).push(" ", PLAIN).push("cdef", BAD).push("never", PLAIN);
        assert_eq!(line.room(), 0);
        assert_eq!(line.finish(), "\u{1b}[32mab\u{1b}[0m \u{1b}[1m\u{1b}[31mcd…\u{1b}[0m");
    }

    #[test]
    fn without_colour_a_line_is_plain() {
        let mut line = Line::new(10, false);
        line.push("ab", GOOD).push("  ", PLAIN);
        assert_eq!(line.finish(), "ab");
    }
}
