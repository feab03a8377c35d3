//! What is written to the terminal for questions.

use tokio::sync::oneshot;

use crate::render::question::QuestionText;

/// Text on the terminal for questions.
#[derive(Debug)]
pub enum Prompt {
    /// A question on a terminal of `width` columns. Signalled once it is on the screen.
    Open { question: QuestionText, width: usize, shown: oneshot::Sender<()> },
    /// It goes on.
    More(String),
    /// It has an answer, or is withdrawn.
    Close(String),
}
