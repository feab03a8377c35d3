//! Lines drawn over and over in the same place of a terminal.

use std::fmt;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

/// More often than the writer draws, so that no frame is ever held back.
const MOST_PER_SECOND: u8 = 50;

/// One bar of indicatif's whose message is all the lines: they change together in one write. (A
/// bar for each would redraw all of them for every one, or be held back by the rate limit.)
pub struct Drawing {
    term: Box<dyn TermLike>,
    bar: ProgressBar,
    /// What is on the screen, and how large that was.
    shown: (Vec<String>, (usize, usize)),
}

impl fmt::Debug for Drawing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Drawing").finish_non_exhaustive()
    }
}

impl Drawing {
    pub fn new(term: &(impl TermLike + Clone + 'static)) -> Self {
        let theirs = Box::new(term.clone());
        let target = ProgressDrawTarget::term_like_with_hz(theirs, MOST_PER_SECOND);
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        Self { term: Box::new(term.clone()), bar, shown: (vec![], (0, 0)) }
    }

    /// Columns and lines, asked anew each time: a window can be resized.
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
        // The cursor waits after the last column, where the terminal's echo of `^C` would wrap and
        // leave a line behind that no one clears. A terminal that is gone has nothing to clear.
        let _ = self.term.write_str("\r").and_then(|()| self.term.flush());
    }

    /// Leaves the screen as it was before the first frame; the next one is drawn where the cursor
    /// is then.
    pub fn clear(&mut self) {
        if !self.shown.0.is_empty() {
            self.bar.finish_and_clear();
            self.shown.0.clear();
        }
    }
}
