//! Approval of tool calls by the person at the terminal: one question at a time, within the time
//! limits of the agent that waits.
//!
//! The terminal keeps its settings and its own line editing. crew opens it once more and reads it
//! without blocking, so no thread is left waiting for an answer that is no longer needed.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::termios::{FlushArg, tcflush};
use nix::unistd::{getpgrp, tcgetpgrp};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// The controlling terminal, whatever standard input and output are.
const TERMINAL: &str = "/dev/tty";
/// Between two attempts to read a line. Not every system can wait for a terminal together with
/// other events.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes that are read of a line. Terminals do not edit longer ones.
const MAX_LINE: usize = 4096;

const NO_TERMINAL: &str =
    "there is no terminal to ask for approval; crew run --yes approves all calls";
const DENIED: &str = "the user was asked and denied it";
const NEVER: &str = "the user denied every call of this tool; do not call it again";
const NO_ANSWER: &str = "it needs approval and the terminal does not answer";

/// A row about a call: what it will run, and in which sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The key of the crew file where there is one: `command`, `shell`, `http`, `sandbox`.
    pub label: &'static str,
    pub lines: Vec<String>,
}

impl Detail {
    /// A row of one line; line ends in it are shown as such.
    pub fn line(label: &'static str, text: String) -> Self {
        Self { label, lines: vec![text] }
    }
}

/// A tool call to approve.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub agent: &'a str,
    pub tool: &'a str,
    pub details: &'a [Detail],
    pub arguments: &'a Value,
}

/// Shows questions to the person at the terminal.
pub trait Prompter: Send + Sync {
    /// Shows a question. The receiver completes once it is on the screen.
    fn show(&self, question: &Question<'_>) -> oneshot::Receiver<()>;
    /// Ends a line that was left unfinished.
    fn end_line(&self);
    /// Asks again after an answer that is neither yes nor no.
    fn repeat(&self, question: &Question<'_>);
    /// Closes the question: it has an answer, or is withdrawn.
    fn close(&self, answered: bool);
}

/// The decision about one tool call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Approved,
    /// With the reason, for the model.
    Denied(&'static str),
}

/// How the tools that need approval (`confirm: true`) get it.
pub enum Approval {
    /// All calls are approved in advance.
    All,
    /// There is no terminal to ask on.
    Unavailable,
    Interactive(Interactive),
}

impl Approval {
    /// Approval by the person at `terminal`, if there is one.
    pub fn interactive(terminal: Option<Terminal>, prompter: Arc<dyn Prompter>) -> Self {
        let Some(terminal) = terminal else { return Self::Unavailable };
        Self::Interactive(Interactive {
            terminal,
            prompter,
            turn: tokio::sync::Mutex::default(),
            settled: Mutex::default(),
        })
    }

    /// Waits for the answers to earlier questions, then for the one to this question. Dropping the
    /// future withdraws the question.
    pub async fn ask(&self, question: Question<'_>) -> Decision {
        match self {
            Self::All => Decision::Approved,
            Self::Unavailable => Decision::Denied(NO_TERMINAL),
            Self::Interactive(interactive) => interactive.ask(question).await,
        }
    }
}

pub struct Interactive {
    terminal: Terminal,
    prompter: Arc<dyn Prompter>,
    /// Held by the open question. Fair: questions are asked in the order in which they arrive.
    turn: tokio::sync::Mutex<()>,
    /// Tools whose calls are all approved, or all denied, for the rest of the run.
    settled: Mutex<BTreeMap<String, Decision>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Yes,
    No,
    Always,
    Never,
}

impl Interactive {
    async fn ask(&self, question: Question<'_>) -> Decision {
        let _turn = self.turn.lock().await;
        // An earlier question may have been answered with "always" or "never".
        if let Some(decision) = self.settled.lock().get(question.tool) {
            return *decision;
        }
        // Input typed before the question is shown cannot be an answer to it.
        self.terminal.discard_input();
        let shown = self.prompter.show(&question);
        let mut open = OpenQuestion { prompter: &*self.prompter, answered: false };
        if shown.await.is_err() {
            return Decision::Denied(NO_ANSWER);
        }
        let reply = self.reply(&question).await;
        open.answered = true;
        match reply {
            Ok(Reply::Yes) => Decision::Approved,
            Ok(Reply::No) => Decision::Denied(DENIED),
            Ok(Reply::Always) => self.settle(question.tool, Decision::Approved),
            Ok(Reply::Never) => self.settle(question.tool, Decision::Denied(NEVER)),
            Err(_) => Decision::Denied(NO_ANSWER),
        }
    }

    fn settle(&self, tool: &str, decision: Decision) -> Decision {
        self.settled.lock().insert(tool.to_owned(), decision);
        decision
    }

    async fn reply(&self, question: &Question<'_>) -> io::Result<Reply> {
        loop {
            let line = self.terminal.line().await?;
            if !line.ends_with('\n') {
                self.prompter.end_line();
            }
            match parse(&line) {
                Some(reply) => return Ok(reply),
                None => self.prompter.repeat(question),
            }
        }
    }
}

/// Only an unambiguous line approves a call.
fn parse(line: &str) -> Option<Reply> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(Reply::Yes),
        "" | "n" | "no" => Some(Reply::No),
        "a" | "always" => Some(Reply::Always),
        "v" | "never" => Some(Reply::Never),
        _ => None,
    }
}

/// A question on the screen, withdrawn when it is dropped without an answer.
struct OpenQuestion<'a> {
    prompter: &'a dyn Prompter,
    answered: bool,
}

impl Drop for OpenQuestion<'_> {
    fn drop(&mut self) {
        self.prompter.close(self.answered);
    }
}

/// The terminal as a source of answers.
#[derive(Debug)]
pub struct Terminal(File);

impl Terminal {
    /// Opens the controlling terminal, if there is one.
    pub fn open() -> Option<Self> {
        let mut options = OpenOptions::new();
        // Non-blocking for this descriptor only, not for other processes with the same terminal.
        options.read(true).custom_flags(O_NONBLOCK).open(TERMINAL).ok().map(Self)
    }

    /// The same terminal to write to, blocking.
    ///
    /// # Errors
    /// The terminal has gone.
    pub fn writer() -> io::Result<File> {
        OpenOptions::new().write(true).open(TERMINAL)
    }

    /// Whether crew is in the foreground. A read or a flush from the background would suspend crew,
    /// and all its time limits with it.
    fn is_foreground(&self) -> io::Result<bool> {
        Ok(tcgetpgrp(&self.0)? == getpgrp())
    }

    fn discard_input(&self) {
        if self.is_foreground().unwrap_or(false) {
            let _ = tcflush(&self.0, FlushArg::TCIFLUSH);
        }
    }

    /// Waits for a line. The end of the input counts as an empty line.
    async fn line(&self) -> io::Result<String> {
        loop {
            if self.is_foreground()? {
                match self.line_now() {
                    Err(error) if is_transient(&error) => {}
                    read => return read,
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Not async: its buffer would be a part of every agent's future.
    fn line_now(&self) -> io::Result<String> {
        let mut buffer = [0; MAX_LINE];
        let length = (&self.0).read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }
}

fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_approves() {
        for (line, reply) in [
            ("y\n", Some(Reply::Yes)),
            (" Yes \n", Some(Reply::Yes)),
            ("a\n", Some(Reply::Always)),
            ("ALWAYS\n", Some(Reply::Always)),
            ("v\n", Some(Reply::Never)),
            ("n\n", Some(Reply::No)),
            ("\n", Some(Reply::No)),
            ("", Some(Reply::No)),
            ("yn\n", None),
            ("sure\n", None),
        ] {
            assert_eq!(parse(line), reply, "{line:?}");
        }
    }
}
