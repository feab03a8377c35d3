//! The display above an open question. The cursor stays where the answer is typed.

use std::io;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, tcgetpgrp};

use crate::render::fit;
use crate::text::sanitize;

/// Columns that an answer may need on its row.
const MAX_REPLY: usize = 8;

/// Erases all rows from the start of this one. tmux keeps what is cleared from the first row of the
/// screen on. Below a row that is empty, it does not.
pub const ERASE: &str = "\u{1b}[K\u{1b}[1B\u{1b}[J\u{1b}[1A";

/// A frame above a question.
#[derive(Debug)]
pub struct Pinned {
    /// Columns and rows of the terminal when both were written.
    terminal: (usize, usize),
    /// Columns of the lines of the frame.
    above: Vec<usize>,
    /// Columns of the lines of the question, the one where the answer is typed included.
    below: Vec<usize>,
}

impl Pinned {
    /// A place for a frame above `question`.
    pub fn above(question: &str, terminal: (usize, usize)) -> Self {
        Self { terminal, above: vec![], below: widths(question).collect() }
    }

    /// Columns and rows for the frame; none if there is no room for it, or an answer might not fit
    /// into the last row.
    pub fn room(&self) -> (usize, usize) {
        let (columns, rows) = self.terminal;
        let last = self.below.last().copied().unwrap_or_default();
        let column = last % columns.max(1);
        let fits = column + MAX_REPLY < columns && (last == 0 || column > 0);
        let rows = rows.saturating_sub(height(&self.below, columns) + 1);
        if fits { (columns, rows) } else { (0, 0) }
    }

    /// What to write before the question.
    pub fn open(&mut self, frame: &[String]) -> String {
        self.above = line_widths(frame).collect();
        frame.iter().map(|line| format!("{line}\r\n")).collect()
    }

    /// The question goes on below.
    pub fn grow(&mut self, prompt: &str) {
        if prompt != "\n" {
            self.below.extend(widths(prompt));
        }
    }

    /// Whether it was written for a terminal of this size.
    pub fn is_for(&self, terminal: (usize, usize)) -> bool {
        terminal == self.terminal
    }

    /// Whether the frame is where it was: the terminal has the same size, and nothing scrolled off.
    pub fn holds(&self, terminal: (usize, usize)) -> bool {
        self.is_for(terminal) && self.room().1 >= self.above.len()
    }

    /// What to write to replace the frame.
    pub fn redraw(&mut self, frame: &[String]) -> String {
        let rows = self.above.len();
        if rows == 0 {
            return String::new();
        }
        let blank = String::new();
        let lines: Vec<_> = frame.iter().chain(std::iter::repeat(&blank)).take(rows).collect();
        let up = rows + height(&self.below, self.terminal.0) - 1;
        self.above = line_widths(lines.iter().copied()).collect();
        let lines: Vec<_> = lines.iter().map(|line| format!("{line}\u{1b}[K")).collect();
        format!("\u{1b}7\r\u{1b}[{up}A{}\u{1b}8", lines.join("\r\n"))
    }

    /// The cursor is somewhere else, and both have to be written again.
    pub fn forget(&mut self) {
        *self = Self { terminal: (0, 0), above: vec![], below: vec![] };
    }

    /// What to write to remove frame and question from a terminal that has so many columns now:
    /// terminals wrap lines again when they get narrower. The cursor is where the frame began.
    pub fn erase(&self, columns: usize) -> String {
        match height(&self.above, columns) + height(&self.below, columns) {
            0 | 1 => format!("\r{ERASE}"),
            rows => format!("\r\u{1b}[{}A{ERASE}", rows - 1),
        }
    }

    /// What to write to remove the frame, once the cursor is on the row after `last`, the end of
    /// the question; nothing if it has scrolled off a terminal of this size.
    pub fn remove(self, last: &str, (columns, rows): (usize, usize)) -> String {
        let above = height(&self.above, columns);
        let below =
            height(&self.below, columns) + last.lines().filter(|line| !line.is_empty()).count();
        match above + below < rows {
            true if above > 0 => {
                format!("\r\u{1b}[{}A\u{1b}[{above}M\u{1b}[{below}B", above + below)
            }
            _ => String::new(),
        }
    }
}

fn widths(text: &str) -> impl Iterator<Item = usize> {
    text.split('\n').map(fit::width)
}

fn line_widths<'l>(lines: impl IntoIterator<Item = &'l String>) -> impl Iterator<Item = usize> {
    lines.into_iter().map(|line| fit::width(&sanitize(line)))
}

/// The rows of lines that are so many columns wide.
fn height(widths: &[usize], columns: usize) -> usize {
    widths.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum()
}

/// Whether a line waits to be read on the terminal of stderr. The cursor is on the next row then, so
/// the frame cannot be changed.
pub fn is_line_typed() -> bool {
    let stderr = io::stderr();
    let mut typed = [PollFd::new(stderr.as_fd(), PollFlags::POLLIN)];
    poll(&mut typed, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Discards an answer that is not complete, since the question is written again without it.
pub fn discard_typed() {
    let stderr = io::stderr();
    // From the background, this would stop crew.
    if tcgetpgrp(&stderr).is_ok_and(|foreground| foreground == getpgrp()) {
        let _ = tcflush(&stderr, FlushArg::TCIFLUSH);
    }
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
        let mut pinned = Pinned::above(&question.replace('\r', ""), SIZE);
        let open = pinned.open(&frame(&["head", "one", "two"]));
        let redrawn = pinned.redraw(&frame(&["HEAD", "ONE"]));
        let end = "\n3\n4\n5\n6\n7\n";
        let text = shown(&[before, &open, question, &redrawn, "y"]);
        let expected = "HEAD\nONE\n\na wants to run b:\n  | x\nAllow? y";
        assert!(text.replace(end, "").ends_with(expected), "{text}");
        pinned.grow("Allow? ");
        assert!(pinned.holds(SIZE));
        let again = pinned.redraw(&frame(&["AGAIN"]));
        let parts = [before, &open, question, &redrawn, "what\r\n", "Allow? ", &again, "y\r\n"];
        let text = shown(&parts);
        assert!(text.contains("\nAGAIN\n\n\na wants to run b:\n"), "{text}");
        let removed = pinned.remove("", SIZE);
        let text = shown(&[&parts.concat(), &removed, "next"]);
        let expected = "7\na wants to run b:\n  | x\nAllow? what\nAllow? y\nnext";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn there_is_no_frame_without_room_for_it() {
        for question in ["x\n".repeat(11), "x".repeat(36), "x".repeat(40)] {
            let mut pinned = Pinned::above(&question, SIZE);
            assert_eq!(pinned.room().1, 0);
            assert!(pinned.open(&[]).is_empty() && pinned.redraw(&frame(&["head"])).is_empty());
            assert_eq!(pinned.remove("", SIZE), "");
        }
        let mut pinned = Pinned::above(&"x".repeat(44), SIZE);
        assert_eq!(pinned.room(), (40, 9));
        pinned.open(&frame(&["head"; 8]));
        assert!(pinned.holds(SIZE) && !pinned.holds((41, 12)));
        pinned.grow("x");
        assert!(pinned.holds(SIZE));
        pinned.grow("x");
        assert!(!pinned.holds(SIZE));
    }

    #[test]
    fn both_go_from_a_terminal_that_has_wrapped_them_again() {
        let question = "a wants to run b:\nAllow a to run b? ";
        let mut pinned = Pinned::above(question, (40, 12));
        let open = pinned.open(&frame(&[&"=".repeat(39), "\u{1b}[1mone\u{1b}[0m"]));
        for columns in [12, 13, 20, 39, 60] {
            let mut screen = vt100::Parser::new(24, columns, 0);
            let question = question.replace('\n', "\r\n");
            let erase = pinned.erase(columns.into());
            let all = format!("before\r\n{open}{question}{erase}after");
            screen.process(all.as_bytes());
            assert_eq!(screen.screen().contents(), "before\nafter", "{columns}");
        }
    }
}
