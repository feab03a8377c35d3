//! Questions on the terminal, below the progress.

use std::fs::File;
use std::sync::Arc;

use console::Term;
use tokio::sync::oneshot;

use super::prompt::Prompt;
use super::shared::Shared;
use crate::approval::{Prompter, Question};
use crate::render::question::{QuestionText, prompt};

/// Columns of a terminal that does not report its size.
const DEFAULT_WIDTH: usize = 80;

/// Shows questions. While one is open, no lines are shown.
pub struct Questions {
    shared: Arc<Shared>,
    /// For its size only.
    terminal: Option<Term>,
}

impl Questions {
    pub fn new(shared: Arc<Shared>, terminal: Option<&File>) -> Self {
        let clone = |terminal: &File| {
            Some(Term::read_write_pair(terminal.try_clone().ok()?, terminal.try_clone().ok()?))
        };
        Self { shared, terminal: terminal.and_then(clone) }
    }
}

impl Prompter for Questions {
    fn show(&self, asked: &Question<'_>) -> oneshot::Receiver<()> {
        let (shown, is_shown) = oneshot::channel();
        let size = self.terminal.as_ref().and_then(Term::size_checked);
        let width = size.map_or(DEFAULT_WIDTH, |(_, columns)| columns.into());
        self.shared.prompt(Prompt::Open { question: QuestionText::new(asked), width, shown });
        is_shown
    }

    fn end_line(&self) {
        self.shared.prompt(Prompt::More("\n".to_owned()));
    }

    fn repeat(&self, asked: &Question<'_>) {
        self.shared.prompt(Prompt::More(prompt(asked)));
    }

    fn close(&self, answered: bool) {
        // The terminal's echo has ended the line of an answer.
        let text = if answered { "" } else { "\n(question withdrawn)\n" };
        self.shared.prompt(Prompt::Close(text.to_owned()));
    }
}
