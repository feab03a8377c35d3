//! What has become of the inputs so far.

use super::line::Line;
use crate::report::{RunStatus, Usage};

/// Counts the lines that a process has written.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    pub succeeded: u64,
    pub failed: u64,
    pub cancelled: u64,
    pub usage: Usage,
}

impl Tally {
    pub fn add(&mut self, line: &Line) {
        match line.status {
            RunStatus::Succeeded => self.succeeded += 1,
            RunStatus::Cancelled => self.cancelled += 1,
            RunStatus::Failed | RunStatus::TimedOut | RunStatus::Invalid => self.failed += 1,
        }
        self.usage += line.usage;
    }

    /// Inputs that have ended by themselves.
    pub fn done(&self) -> u64 {
        self.succeeded + self.failed
    }
}
