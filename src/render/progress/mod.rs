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

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use console::Term;
use tokio::sync::oneshot;

use super::question;
use crate::approval::{Prompter, Question};
use crate::report::{Event, EventSink};
use board::Board;
use drawing::Drawing;
use writer::{Prompt, Shared, Show};

/// Columns of a terminal that does not tell.
const DEFAULT_WIDTH: usize = 80;

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
    /// Where questions are asked.
    terminal: Option<File>,
    ended: bool,
}

impl Progress {
    /// Starts the thread that from now on is the only one to write to stderr. `agents` are the
    /// names of the plan's agents, in its order; questions are asked on `terminal`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(agents: &[&str], options: Options, terminal: Option<File>) -> io::Result<Self> {
        let show = match options {
            Options { quiet: true, .. } => Show::Nothing,
            Options { draw: true, .. } => Show::Drawn(Drawing::new(&Term::buffered_stderr())),
            _ => Show::Lines,
        };
        Self::launch(agents, options, show, Box::new(io::stderr()), terminal)
    }

    fn launch(
        agents: &[&str],
        options: Options,
        show: Show,
        out: Box<dyn io::Write + Send>,
        terminal: Option<File>,
    ) -> io::Result<Self> {
        let board = Board::new(agents, options.verbose);
        let shared = Arc::new(Shared::new(board, options.colour));
        let theirs = Arc::clone(&shared);
        let writer = terminal.as_ref().map(File::try_clone).transpose()?;
        std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || writer::run(&theirs, show, out, writer))?;
        Ok(Self { shared, options, terminal, ended: false })
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

    /// What shows questions, between the progress.
    pub fn prompter(&self) -> Arc<dyn Prompter> {
        let size_of = |terminal: &File| {
            let clone = || terminal.try_clone().ok();
            Some(Term::read_write_pair(clone()?, clone()?))
        };
        let terminal = self.terminal.as_ref().and_then(size_of);
        Arc::new(Questions { shared: Arc::clone(&self.shared), terminal })
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

/// While one is open nothing else is shown.
struct Questions {
    shared: Arc<Shared>,
    terminal: Option<Term>,
}

impl Prompter for Questions {
    fn show(&self, question: &Question<'_>) -> oneshot::Receiver<()> {
        let (shown, can_be_read) = oneshot::channel();
        let size = self.terminal.as_ref().and_then(Term::size_checked);
        let width = size.map_or(DEFAULT_WIDTH, |(_, columns)| columns.into());
        let text = question::question(question, width);
        self.shared.prompt(Prompt { text, shown: Some(shown) }, true);
        can_be_read
    }

    fn end_line(&self) {
        self.shared.prompt(Prompt { text: "\n".to_owned(), shown: None }, true);
    }

    fn repeat(&self, question: &Question<'_>) {
        self.shared.prompt(Prompt { text: question::place_of_answer(question), shown: None }, true);
    }

    fn settle(&self, answered: bool) {
        // The terminal has ended the line of an answer.
        let text = if answered { "" } else { "\n(no longer asked)\n" };
        self.shared.prompt(Prompt { text: text.to_owned(), shown: None }, false);
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
