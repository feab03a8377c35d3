//! Leave to run a tool, asked of the person at the terminal: one question at a time, for as long as
//! the agent that waits for it may take.
//!
//! The terminal stays as it is, with its own editing of lines. It is read without blocking through
//! an opening of its own, so nothing is left waiting for an answer that nobody wants any more.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, tcgetpgrp};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// The terminal that crew was started from, wherever its input and output lead.
const TERMINAL: &str = "/dev/tty";
/// How often it is looked whether a line has been typed. Not every system lets one wait for a
/// terminal together with other things.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Bytes of a line that are looked at; a terminal edits no longer ones.
const LONGEST_LINE: usize = 4096;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub agent: &'a str,
    pub tool: &'a str,
    pub arguments: &'a Value,
}

/// Shows questions to the person at the terminal.
pub trait Prompter: Send + Sync {
    /// Shows a question. What is returned completes when it can be read.
    fn show(&self, question: &Question<'_>) -> oneshot::Receiver<()>;
    /// The line of an answer was left unfinished.
    fn end_line(&self);
    /// The answer made no sense.
    fn repeat(&self, question: &Question<'_>);
    /// The question has its answer, or nobody waits for one any longer.
    fn settle(&self, answered: bool);
}

/// What became of a question. A refusal says why, for the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    Refused(&'static str),
}

const NO_TERMINAL: &str = "no terminal to confirm it on; crew run --yes confirms all";
const NO: &str = "the user was asked and said no";
const NO_ANSWER: &str = "it needs a confirmation and the terminal gives no answer";

/// Who gives leave to run tools that need it.
pub enum Consent {
    /// It has been given for all.
    Given,
    /// There is nobody to ask.
    Nobody,
    Asked(Asking),
}

impl Consent {
    /// Leave of whoever types on `terminal`; of nobody if there is none.
    pub fn of(terminal: Option<Terminal>, prompter: Arc<dyn Prompter>) -> Self {
        let Some(terminal) = terminal else { return Self::Nobody };
        Self::Asked(Asking {
            terminal,
            prompter,
            turn: tokio::sync::Mutex::default(),
            always: Mutex::default(),
        })
    }

    /// Waits for the answer, and before it for those to earlier questions. Dropping it withdraws
    /// the question.
    pub async fn ask(&self, question: Question<'_>) -> Verdict {
        match self {
            Self::Given => Verdict::Granted,
            Self::Nobody => Verdict::Refused(NO_TERMINAL),
            Self::Asked(asking) => asking.ask(question).await,
        }
    }
}

pub struct Asking {
    terminal: Terminal,
    prompter: Arc<dyn Prompter>,
    /// Held by the question that is being asked. It is passed on in the order of asking.
    turn: tokio::sync::Mutex<()>,
    /// Tools that are not asked about again in this run.
    always: Mutex<BTreeSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    Always,
}

impl Asking {
    async fn ask(&self, question: Question<'_>) -> Verdict {
        let _turn = self.turn.lock().await;
        // Perhaps the answer to a question before this one.
        if self.always.lock().unwrap_or_else(PoisonError::into_inner).contains(question.tool) {
            return Verdict::Granted;
        }
        // What was typed before cannot be an answer to what had not been seen.
        self.terminal.forget_typed();
        let shown = self.prompter.show(&question);
        let mut open = Open { prompter: &*self.prompter, answered: false };
        if shown.await.is_err() {
            return Verdict::Refused(NO_ANSWER);
        }
        let answer = self.answer(&question).await;
        open.answered = true;
        match answer {
            Ok(Answer::No) => Verdict::Refused(NO),
            Ok(Answer::Yes) => Verdict::Granted,
            Ok(Answer::Always) => {
                let mut always = self.always.lock().unwrap_or_else(PoisonError::into_inner);
                always.insert(question.tool.to_owned());
                Verdict::Granted
            }
            Err(_) => Verdict::Refused(NO_ANSWER),
        }
    }

    async fn answer(&self, question: &Question<'_>) -> io::Result<Answer> {
        loop {
            let line = self.terminal.line().await?;
            if !line.ends_with('\n') {
                self.prompter.end_line();
            }
            match understood(&line) {
                Some(answer) => return Ok(answer),
                None => self.prompter.repeat(question),
            }
        }
    }
}

/// Only what cannot mean anything else gives leave.
fn understood(line: &str) -> Option<Answer> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(Answer::Yes),
        "" | "n" | "no" => Some(Answer::No),
        "a" | "always" => Some(Answer::Always),
        _ => None,
    }
}

/// A question on the screen, taken back when it is dropped.
struct Open<'a> {
    prompter: &'a dyn Prompter,
    answered: bool,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.prompter.settle(self.answered);
    }
}

/// Where answers are typed.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// The terminal that crew was started from, if any.
    pub fn open() -> Option<Self> {
        let mut options = OpenOptions::new();
        // For this opening only: whoever else has the terminal open still waits for it.
        options.read(true).custom_flags(O_NONBLOCK).open(TERMINAL).ok().map(Self)
    }

    /// An opening to write to, which waits.
    ///
    /// # Errors
    /// It is gone.
    pub fn writer() -> io::Result<File> {
        OpenOptions::new().write(true).open(TERMINAL)
    }

    /// Whether what is typed is for crew. In the background so much as touching the terminal would
    /// suspend crew, and with it all its time limits.
    fn is_ours(&self) -> io::Result<bool> {
        Ok(tcgetpgrp(&self.0)? == getpgrp())
    }

    fn forget_typed(&self) {
        if self.is_ours().unwrap_or(false) {
            let _ = tcflush(&self.0, FlushArg::TCIFLUSH);
        }
    }

    /// Waits for a line; an end of the input counts as an empty one.
    async fn line(&self) -> io::Result<String> {
        let mut buffer = [0; LONGEST_LINE];
        loop {
            match self.is_ours()?.then(|| (&self.0).read(&mut buffer)) {
                Some(Ok(length)) => {
                    return Ok(String::from_utf8_lossy(&buffer[..length]).into_owned());
                }
                Some(Err(error)) if !is_passing(&error) => return Err(error),
                _ => sleep(LOOK_AGAIN).await,
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (line, answer) in [
            ("y\n", Some(Answer::Yes)),
            (" Yes \n", Some(Answer::Yes)),
            ("a\n", Some(Answer::Always)),
            ("ALWAYS\n", Some(Answer::Always)),
            ("n\n", Some(Answer::No)),
            ("\n", Some(Answer::No)),
            ("", Some(Answer::No)),
            ("yn\n", None),
            ("sure\n", None),
        ] {
            assert_eq!(understood(line), answer, "{line:?}");
        }
    }
}
