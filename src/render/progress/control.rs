//! Starting, feeding and ending the progress of a run.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use console::Term;

use super::board::{Board, Crew};
use super::drawing::Drawing;
use super::lines;
use super::options::Options;
use super::questions::Questions;
use super::shared::Shared;
use super::transcript;
use super::writer::{self, Show};
use crate::approval::Prompter;
use crate::report::{Event, EventSink};

/// The progress of one run. Dropping it clears its drawing.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    options: Options,
    /// The terminal for questions.
    terminal: Option<File>,
    ended: bool,
}

impl Progress {
    /// Starts the thread that from now on is the only one to write to stderr. Questions appear on
    /// `terminal`.
    ///
    /// # Errors
    /// The system denies a thread.
    pub fn start(crew: Crew, options: Options, terminal: Option<File>) -> io::Result<Self> {
        let show = match options {
            Options { quiet: true, .. } => Show::Nothing,
            Options { draw: true, .. } => Show::Drawn(Drawing::on_stderr()),
            _ => Show::Lines,
        };
        Self::launch(crew, options, show, Box::new(io::stderr()), terminal)
    }

    pub(super) fn launch(
        crew: Crew,
        options: Options,
        show: Show,
        out: Box<dyn io::Write + Send>,
        terminal: Option<File>,
    ) -> io::Result<Self> {
        let board = Board::new(crew, options.verbose);
        let shared = Arc::new(Shared::new(board, options));
        let theirs = Arc::clone(&shared);
        let writer = terminal.as_ref().map(File::try_clone).transpose()?;
        std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || writer::run(&theirs, show, out, writer))?;
        Ok(Self { shared, options, terminal, ended: false })
    }

    /// The sink for the engine's events. It never waits for the terminal.
    pub fn sink(&self) -> EventSink {
        let shared = Arc::clone(&self.shared);
        let Options { draw, colour, verbose, transcripts, quiet, .. } = self.options;
        Arc::new(move |event: Event| {
            if quiet {
                return;
            }
            shared.update(|board| {
                let now = Instant::now();
                let line = match &event {
                    Event::Transcript { agent, entry } if transcripts => {
                        Some(transcript::on_screen(entry, *agent, board, now))
                    }
                    event if draw && !transcripts => {
                        lines::above(event, board, columns(), colour, verbose)
                    }
                    event => lines::line(event, board, now, verbose),
                };
                board.apply(&event, now);
                line
            });
        })
    }

    /// Shows questions in place of the progress.
    pub fn prompter(&self) -> Arc<dyn Prompter> {
        Arc::new(Questions::new(Arc::clone(&self.shared), self.terminal.as_ref()))
    }

    /// Shows a line that belongs to no event, unchanged.
    pub fn say(&self, line: String) {
        if !self.options.quiet {
            self.shared.update(|_| Some(line));
        }
    }

    /// Clears the drawing, or writes the lines that are due, so that the result can follow on
    /// stdout. Returns false if stderr did not take it in time.
    pub fn clear(&mut self) -> bool {
        self.shared.clear();
        self.shared.wait_for_clear()
    }

    /// Ends the progress with `last`, such as the summary, which is written even with
    /// [`Options::quiet`]. Waits only as long as stderr keeps taking it. Returns false if stderr
    /// did not take all of it.
    pub fn finish(mut self, last: Vec<u8>) -> bool {
        self.end(last)
    }

    fn end(&mut self, last: Vec<u8>) -> bool {
        self.ended = true;
        self.shared.end(last);
        self.shared.wait_for_end()
    }
}

/// The width of the terminal now.
fn columns() -> usize {
    Term::stderr().size().1.into()
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.ended {
            self.end(vec![]);
        }
    }
}
