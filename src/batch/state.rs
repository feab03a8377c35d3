//! What a part of a batch knows beside its results.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::run_file::{FileError, read_json, replace_json};
use crate::report::Usage;

/// Replaced in one step whenever lines are removed from the results, and when a process ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PartState {
    /// What the lines took that were removed because their inputs run again.
    pub spent: Usage,
    /// All inputs of the batch, those of other parts and repeated ones included; known once a
    /// process has read them to their end.
    pub inputs: Option<u64>,
    /// The inputs of this part that have a key of their own: so many lines it will have.
    pub keys: Option<u64>,
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
