//! The result of one tool call, the same for every kind of tool.

use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::sleep;

use crate::cancel::Cancellation;
use crate::chat::Attachment;
use crate::report::{CancelKind, ToolStatus};
use crate::text::Excerpt;
use crate::untrusted::Untrusted;

/// The way a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolEnd {
    Succeeded,
    Failed,
    /// crew stopped it.
    Stopped(CancelKind),
}

impl ToolEnd {
    /// The status for the report.
    pub fn status(self) -> ToolStatus {
        match self {
            Self::Succeeded => ToolStatus::Succeeded,
            Self::Failed => ToolStatus::Failed,
            Self::Stopped(
                CancelKind::ToolTimeout | CancelKind::AgentTimeout | CancelKind::Timeout,
            ) => ToolStatus::TimedOut,
            Self::Stopped(_) => ToolStatus::Cancelled,
        }
    }

    /// The reason that crew stopped the call for.
    pub fn stopped_by(self) -> Option<CancelKind> {
        match self {
            Self::Stopped(reason) => Some(reason),
            Self::Succeeded | Self::Failed => None,
        }
    }
}

/// The reason that a scope was cancelled for.
pub fn stop_reason(scope: &Cancellation) -> CancelKind {
    scope.reason().map_or(CancelKind::Interrupted, |reason| reason.kind)
}

/// Completes when the scope is cancelled or the limit is over, with the reason.
pub async fn stopped(scope: &Cancellation, limit: Option<Duration>) -> CancelKind {
    let over = async {
        match limit {
            // Unconstrained: a tool that never stops writing must not delay its own timeout.
            Some(limit) => unconstrained(sleep(limit)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = scope.cancelled() => stop_reason(scope),
        () = over => CancelKind::ToolTimeout,
    }
}

/// The result of a call that was started.
#[derive(Debug)]
pub struct ToolOutcome {
    pub end: ToolEnd,
    /// Text from outside.
    pub output: Untrusted,
    /// What crew says about the call. They may quote a server.
    pub notes: Vec<Untrusted>,
    /// For models that take images. The output describes them too.
    pub images: Vec<Attachment>,
    /// The middle of the output was left out.
    pub truncated: bool,
    /// The exit code of a process that exited by itself.
    pub exit_code: Option<i32>,
    /// The name of the signal that ended the process, such as `SIGTERM`.
    pub signal: Option<String>,
    /// The status of the last response.
    pub http_status: Option<u16>,
    /// The process exited and left other processes behind.
    pub leaked: bool,
}

impl ToolOutcome {
    pub fn new(end: ToolEnd, output: Excerpt) -> Self {
        Self {
            end,
            output: output.text.into(),
            notes: Vec::new(),
            images: Vec::new(),
            truncated: output.truncated,
            exit_code: None,
            signal: None,
            http_status: None,
            leaked: false,
        }
    }

    /// A call that failed without any output.
    pub fn failed(message: &str) -> Self {
        let mut outcome = Self::new(ToolEnd::Failed, Excerpt::default());
        outcome.add_note(message);
        outcome
    }

    /// Adds a fact that the output does not show.
    pub fn add_note(&mut self, note: &str) {
        self.notes.push(Untrusted::new(note));
    }

    /// Takes the text for a model: the output, followed by the notes in brackets.
    pub fn take_text(&mut self) -> Untrusted {
        let mut text = std::mem::take(&mut self.output);
        for note in self.notes.drain(..) {
            text.push_line(note.map(|note| format!("[{note}]")).to_its_source());
        }
        text
    }
}
