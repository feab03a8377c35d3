//! What crew says about a run when it has ended.

use crate::render::{self, Look};
use crate::report::Report;

/// What people read on stderr after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    Summary,
    /// Only if the run did not succeed.
    Errors,
    Nothing,
}

impl Messages {
    pub fn of(quiet: u8) -> Self {
        match quiet {
            0 => Self::Summary,
            1 => Self::Errors,
            _ => Self::Nothing,
        }
    }

    /// The text about a run. `separated` from what comes before it on the same screen.
    pub fn text(self, report: &Report, look: Look, separated: bool) -> Vec<u8> {
        let mut text = Vec::new();
        // Writing to memory does not fail.
        let _ = match self {
            Self::Summary => render::summary(report, look, &mut text),
            Self::Errors => render::errors(report, look, &mut text),
            Self::Nothing => Ok(()),
        };
        text = look.reader.adapt(&String::from_utf8_lossy(&text)).into_owned().into();
        if separated && !text.is_empty() {
            text.insert(0, b'\n');
        }
        text
    }
}
