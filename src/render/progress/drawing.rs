//! Lines that are redrawn in the same place of a terminal.

use std::fmt;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// Above the rate at which the writer draws, so that no frame is held back.
const MAX_PER_SECOND: u8 = 50;

/// One bar of indicatif with all lines as its message, so that they change in one write. With one
/// bar for each line, every change would redraw all of them or be held back by the rate limit.
pub struct Drawing {
    term: Box<dyn TermLike>,
    bar: ProgressBar,
    /// The lines on the screen, and the size of the screen then.
    shown: (Vec<String>, (usize, usize)),
}

impl fmt::Debug for Drawing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Drawing").finish_non_exhaustive()
    }
}

impl Drawing {
    pub fn new(term: &(impl TermLike + Clone + 'static)) -> Self {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), MAX_PER_SECOND);
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { term: Box::new(term.clone()), bar, shown: (vec![], (0, 0)) }
    }

    /// Columns and lines, read each time as a window can be resized.
    pub fn size(&self) -> (usize, usize) {
        (self.term.width().into(), self.term.height().into())
    }

    pub fn draw(&mut self, lines: Vec<String>, size: (usize, usize)) {
        let frame = (lines, size);
        if self.shown == frame || (self.shown.0.is_empty() && frame.0.is_empty()) {
            return;
        }
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_message(frame.0.join("\n"));
        self.shown = frame;
        // Otherwise the cursor stays after the last column, where the echo of `^C` would wrap and
        // leave a line behind. An error means that the terminal has gone.
        let _ = self.term.write_str("\r").and_then(|()| self.term.flush());
    }

    /// Restores the screen to its state before the first frame. The next frame is drawn at the
    /// cursor.
    pub fn clear(&mut self) {
        if !self.shown.0.is_empty() {
            self.bar.finish_and_clear();
            self.shown.0.clear();
        }
    }
}
