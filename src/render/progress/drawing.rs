//! Lines that are redrawn in the same place of a terminal.

use std::fmt;
use std::io;

use console::Term;
use nix::sys::termios::tcgetsid;

use super::echo::Echo;
use super::pinned::{ERASE, Pinned};
use crate::render::fit;
use crate::text::sanitize;

/// Rows and columns of a terminal that does not report its size.
const DEFAULT_SIZE: (u16, u16) = (24, 80);

/// The frame that is on the screen, and the changes that lead to the next one. The cursor stays at
/// the start of the frame's last line.
pub struct Drawing {
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    shown: Vec<String>,
    /// Columns of the lines that are shown.
    widths: Vec<usize>,
    echo: Option<Echo>,
    /// It is on the terminal where questions are asked.
    has_questions: bool,
}

impl fmt::Debug for Drawing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Drawing").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl Drawing {
    /// `size` returns rows and columns.
    pub fn new(size: impl Fn() -> (u16, u16) + Send + 'static) -> Self {
        Self {
            size: Box::new(size),
            shown: vec![],
            widths: vec![],
            echo: None,
            has_questions: false,
        }
    }

    /// A drawing on stderr, which must be a terminal. What is typed is not shown meanwhile.
    pub fn on_stderr() -> Self {
        let term = Term::stderr();
        let size = move || term.size_checked().unwrap_or(DEFAULT_SIZE);
        let has_questions = tcgetsid(io::stderr()).is_ok();
        Self { echo: Echo::of_stderr(), has_questions, ..Self::new(size) }
    }

    /// A place for a frame above a question.
    pub fn pinned(&self, question: &str) -> Option<Pinned> {
        self.has_questions.then(|| Pinned::above(question, self.size()))
    }

    /// Columns and rows, read each time as a window can be resized.
    pub fn size(&self) -> (usize, usize) {
        let (rows, columns) = (self.size)();
        (columns.into(), rows.into())
    }

    /// Hides or shows what is typed.
    pub fn hide_typing(&mut self, hidden: bool) {
        if let Some(echo) = &mut self.echo {
            echo.hide(hidden);
        }
    }

    /// What to write to replace the frame by these lines, none of them as wide as the terminal.
    pub fn draw(&mut self, lines: Vec<String>) -> String {
        if lines.is_empty() {
            return self.clear();
        }
        if lines == self.shown {
            return String::new();
        }
        let mut text = self.to_start();
        // Line by line, as clearing all first would flicker.
        text.push_str(&lines.join("\u{1b}[K\r\n"));
        text.push_str("\u{1b}[J\r");
        self.widths = lines.iter().map(|line| fit::width(&sanitize(line))).collect();
        self.shown = lines;
        text
    }

    /// The cursor is somewhere else, at the start of a row: what is on the screen stays there.
    pub fn forget(&mut self) {
        self.shown.clear();
        self.widths.clear();
        self.echo.iter_mut().for_each(Echo::forget);
    }

    /// What to write to remove the frame. The cursor is where the frame began.
    pub fn clear(&mut self) -> String {
        if self.shown.is_empty() {
            return String::new();
        }
        let clear = if self.rows_above() == 0 { "\u{1b}[J" } else { ERASE };
        let text = self.to_start() + clear;
        self.shown.clear();
        self.widths.clear();
        text
    }

    /// Moves the cursor to the start of the frame. Terminals wrap lines again when they get
    /// narrower.
    fn to_start(&self) -> String {
        match self.rows_above() {
            0 => "\r".to_owned(),
            rows => format!("\r\u{1b}[{rows}A"),
        }
    }

    /// The rows of the frame above its last line.
    fn rows_above(&self) -> usize {
        let columns = self.size().0.max(1);
        let above = self.widths.split_last().map_or(&[][..], |(_, above)| above);
        above.iter().map(|width| width.div_ceil(columns).max(1)).sum()
    }
}
