//! What a part of a batch knows beside its results.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::run_file::{FileError, read_json, replace_json};
use crate::report::{Usage, millis};

/// Replaced in one step whenever lines are removed from the results, and when a process starts and
/// ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartState {
    /// What the lines took that were removed because their inputs run again.
    pub spent: Usage,
    /// All inputs of the batch, those of other parts and repeated ones included, as a process has
    /// counted them.
    pub inputs: Option<u64>,
    /// The inputs of this part that have a key of their own: the number of its lines when it is
    /// done. Known once a process has run them all.
    pub keys: Option<u64>,
    /// The process that works on the part, or did last.
    pub work: Option<Work>,
}

/// A process at work on a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// The lines that were there then.
    pub lines: u64,
    /// `None` as long as it works, and if it was killed.
    pub ended_ms: Option<u64>,
}

impl Work {
    /// Inputs per minute since its start, if there are so many lines now.
    pub fn rate_per_minute(&self, lines: u64, now_ms: u64) -> Option<f64> {
        let minutes = now_ms.checked_sub(self.started_ms)? as f64 / 60_000.0;
        (minutes > 0.0).then(|| lines.saturating_sub(self.lines) as f64 / minutes)
    }
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(millis).unwrap_or_default()
}

impl PartState {
    /// The state in a file; the default if there is no file.
    ///
    /// # Errors
    /// The file cannot be read or is not a state.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Ok(read_json(path)?.unwrap_or_default())
    }

    /// # Errors
    /// The file cannot be replaced.
    pub fn replace(&self, path: &Path) -> Result<(), FileError> {
        replace_json(path, self)
    }
}
