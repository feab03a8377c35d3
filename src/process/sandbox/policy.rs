//! The policy of a sandbox, as plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a process may use. Everything else is forbidden.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Absolute paths of files and folders that may be read and executed. A folder includes
    /// everything below it.
    pub read: Vec<PathBuf>,
    /// Absolute paths that may also be written, created and removed.
    pub write: Vec<PathBuf>,
    pub network: bool,
    /// Fail to start the process if the system cannot enforce all of this.
    pub required: bool,
}
