//! What happens during a run, shown on stderr while it happens.
//!
//! The engine tells its events to a sink that only notes them down; one thread draws or writes
//! them. From [`Progress::start`] on nothing else may write to stderr: when its reader has stopped
//! reading, that thread is stuck with the stream's lock, and only it. Nobody waits for it without
//! a bound.

mod board;
mod drawing;
mod frame;
mod lines;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use console::Term;

use crate::report::{Event, EventSink};
use board::Board;
use drawing::Drawing;
use writer::{Shared, Show};

/// How progress is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Draw and redraw in place; otherwise write a line per change of state.
    pub draw: bool,
    pub colour: bool,
    /// Also model calls and what tools are called with.
    pub verbose: bool,
    /// Nothing at all.
    pub quiet: bool,
}

/// The progress of one run. Dropped, it takes what it has drawn off the screen.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    options: Options,
    ended: bool,
}

impl Progress {
    /// Starts the thread that from now on is the only one to write to stderr. `agents` are the
    /// names of the plan's agents, in its order.
    pub fn start(agents: &[&str], options: Options) -> io::Result<Self> {
        let show = match options {
            Options { quiet: true, .. } => Show::Nothing,
            Options { draw: true, .. } => Show::Drawn(Drawing::new(&Term::buffered_stderr())),
            _ => Show::Lines,
        };
        Self::launch(agents, options, show, Box::new(io::stderr()))
    }

    fn launch(
        agents: &[&str],
        options: Options,
        show: Show,
        out: Box<dyn io::Write + Send>,
    ) -> io::Result<Self> {
        let board = Board::new(agents, options.verbose);
        let shared = Arc::new(Shared::new(board, options.colour));
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || writer::run(&theirs, show, out))?;
        Ok(Self { shared, options, ended: false })
    }

    /// Where the engine tells its events. It never waits for the terminal.
    pub fn sink(&self) -> EventSink {
        let shared = Arc::clone(&self.shared);
        let Options { draw, verbose, quiet, .. } = self.options;
        Arc::new(move |event: Event| {
            if quiet {
                return;
            }
            shared.note(|board| {
                let line = if draw { None } else { lines::line(&event, board, verbose) };
                board.apply(&event, Instant::now());
                line
            });
        })
    }

    /// Shows a line that is no event's, as it is.
    pub fn say(&self, line: String) {
        if !self.options.quiet {
            self.shared.note(|_| Some(line));
        }
    }

    /// Takes what is drawn off the screen, or writes what lines are due, so that the result can
    /// follow on stdout. False if stderr would not have it in time.
    pub fn clear(&mut self) -> bool {
        self.shared.clear();
        self.shared.wait_for_clear()
    }

    /// Ends it with `last`, such as the summary, which is shown even when progress is not. Waits
    /// only as long as stderr keeps taking it; false if it did not take all of it.
    pub fn finish(mut self, last: Vec<u8>) -> bool {
        self.end(last)
    }

    fn end(&mut self, last: Vec<u8>) -> bool {
        self.ended = true;
        self.shared.end(last);
        self.shared.wait_for_end()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.ended {
            self.end(vec![]);
        }
    }
}

#[cfg(test)]
mod tests;
