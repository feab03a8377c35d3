//! What is written to the terminal for questions.

use tokio::sync::oneshot;

/// Text on the terminal for questions.
#[derive(Debug)]
pub struct Prompt {
    pub text: String,
    pub kind: PromptKind,
}

#[derive(Debug)]
pub enum PromptKind {
    /// A question. Signalled once it is on the screen.
    Open(oneshot::Sender<()>),
    /// It goes on.
    More,
    /// It has an answer, or is withdrawn.
    Close,
}
