//! The result of one tool call, the same for every kind of tool.

use crate::report::{CancelKind, ToolStatus};
use crate::text::Excerpt;

/// The way a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolEnd {
    Succeeded,
    Failed,
    /// crew stopped it.
    Stopped(CancelKind),
}

impl ToolEnd {
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

    pub fn stopped_by(self) -> Option<CancelKind> {
        match self {
            Self::Stopped(reason) => Some(reason),
            Self::Succeeded | Self::Failed => None,
        }
    }
}

/// The result of a call that was started.
#[derive(Debug)]
pub struct ToolOutcome {
    pub end: ToolEnd,
    /// Text from outside, followed by crew's own notes in brackets.
    pub output: String,
    /// The middle of the output was left out.
    pub truncated: bool,
    /// Of a process that exited.
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
            output: output.text,
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
        if !self.output.is_empty() && !self.output.ends_with('\n') {
            self.output.push('\n');
        }
        self.output.push_str(&format!("[{note}]"));
    }
}
