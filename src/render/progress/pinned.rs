//! The display above an open question. The cursor stays where the answer is typed.

use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::render::fit;

/// Columns that an answer may need on its row.
const MAX_REPLY: usize = 8;

/// A frame above a question, in rows of a terminal whose size does not change.
#[derive(Debug)]
pub struct Pinned {
    /// Columns and rows of the terminal.
    terminal: (usize, usize),
    /// Rows of the frame.
    above: usize,
    /// Rows of the question, the one where the answer is typed included.
    below: usize,
}

impl Pinned {
    /// A place for a frame above `question`; `None` if there is no room for both.
    pub fn above(question: &str, terminal: (usize, usize)) -> Option<Self> {
        let pinned = Self { terminal, above: 0, below: 0 };
        let below = pinned.rows(question)?;
        let pinned = Self { below, ..pinned };
        (pinned.room().1 > 0).then_some(pinned)
    }

    /// Columns and rows for the frame.
    pub fn room(&self) -> (usize, usize) {
        (self.terminal.0, self.terminal.1.saturating_sub(self.below + 1))
    }

    /// What to write before the question.
    pub fn open(&mut self, frame: &[String]) -> String {
        self.above = frame.len();
        frame.iter().map(|line| format!("{line}\r\n")).collect()
    }

    /// The question goes on below; false if the frame may no longer be changed.
    pub fn grow(&mut self, prompt: &str, terminal: (usize, usize)) -> bool {
        let rows = if prompt == "\n" { Some(0) } else { self.rows(prompt) };
        self.below += rows.unwrap_or_default();
        rows.is_some() && self.holds(terminal)
    }

    /// Whether the frame is where it was: the terminal has the same size, and nothing scrolled off.
    pub fn holds(&self, terminal: (usize, usize)) -> bool {
        terminal == self.terminal && self.above + self.below < terminal.1
    }

    /// What to write to replace the frame.
    pub fn redraw(&self, frame: &[String]) -> String {
        let blank = String::new();
        let lines = frame.iter().chain(std::iter::repeat(&blank)).take(self.above);
        let lines: Vec<_> = lines.map(|line| format!("{line}\u{1b}[K")).collect();
        let up = self.above + self.below - 1;
        format!("\u{1b}7\r\u{1b}[{up}A{}\u{1b}8", lines.join("\r\n"))
    }

    /// What to write to remove the frame, once the cursor is on the row after `last`, the end of
    /// the question.
    pub fn remove(mut self, last: &str) -> String {
        self.below += last.lines().filter(|line| !line.is_empty()).count();
        let Self { above, below, .. } = self;
        format!("\r\u{1b}[{}A\u{1b}[{above}M\u{1b}[{below}B", above + below)
    }

    /// The rows of a text; `None` if an answer after it might not fit into the last one.
    fn rows(&self, text: &str) -> Option<usize> {
        let columns = self.terminal.0.max(1);
        let widths = || text.split('\n').map(fit::width);
        let last = widths().next_back().unwrap_or_default();
        let fits = last % columns + MAX_REPLY < columns && (last == 0 || last % columns > 0);
        fits.then(|| widths().map(|width| width.div_ceil(columns).max(1)).sum())
    }
}

/// Whether a line waits to be read on the terminal of stderr. The cursor is on the next row then, so
/// the frame cannot be changed.
pub fn is_line_typed() -> bool {
    let stderr = io::stderr();
    let mut typed = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
    poll(&mut typed, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SIZE: (usize, usize) = (40, 12);

    fn frame(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    fn shown(parts: &[&str]) -> String {
        let mut screen = vt100::Parser::new(12, 40, 0);
        parts.iter().for_each(|part| screen.process(part.as_bytes()));
        screen.screen().contents()
    }

    #[test]
    fn the_frame_changes_above_the_question_and_goes_with_it() {
        let question = "a wants to run b:\r\n  | x\r\nAllow? ";
        let before = "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n";
        let mut pinned = Pinned::above(&question.replace('\r', ""), SIZE).unwrap();
        let open = pinned.open(&frame(&["head", "one", "two"]));
        let redrawn = pinned.redraw(&frame(&["HEAD", "ONE"]));
        let end = "\n3\n4\n5\n6\n7\n";
        let text = shown(&[before, &open, question, &redrawn, "y"]);
        let expected = "HEAD\nONE\n\na wants to run b:\n  | x\nAllow? y";
        assert!(text.replace(end, "").ends_with(expected), "{text}");
        assert!(pinned.grow("Allow? ", SIZE));
        let again = pinned.redraw(&frame(&["AGAIN"]));
        let parts = [before, &open, question, &redrawn, "what\r\n", "Allow? ", &again, "y\r\n"];
        let text = shown(&parts);
        assert!(text.contains("\nAGAIN\n\n\na wants to run b:\n"), "{text}");
        let removed = pinned.remove("");
        let text = shown(&[&parts.concat(), &removed, "next"]);
        let expected = "7\na wants to run b:\n  | x\nAllow? what\nAllow? y\nnext";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn there_is_no_frame_without_room_for_it() {
        assert!(Pinned::above(&"x\n".repeat(11), SIZE).is_none());
        assert!(Pinned::above(&"x".repeat(36), SIZE).is_none());
        assert!(Pinned::above(&"x".repeat(40), SIZE).is_none());
        let mut pinned = Pinned::above(&"x".repeat(44), SIZE).unwrap();
        assert_eq!(pinned.room(), (40, 9));
        pinned.open(&frame(&["head"; 8]));
        assert!(pinned.holds(SIZE) && !pinned.holds((41, 12)));
        assert!(pinned.grow("x", SIZE) && !pinned.grow("x", SIZE));
    }
}
