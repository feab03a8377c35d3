//! A part of a batch, and the names of its files.

use std::path::{Path, PathBuf};

use super::key::KeyHash;

/// The inputs that one process runs: all of them, or those whose key hashes to `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    pub of: u32,
}

impl Part {
    /// All inputs.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    pub fn has(self, key: &KeyHash) -> bool {
        self.of == 1 || key.part(self.of) == self.number
    }

    /// The results of this part.
    pub fn results(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.jsonl", self.stem()))
    }

    /// What its results do not say; see [`PartState`](super::state::PartState).
    pub fn state(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.state.json", self.stem()))
    }

    /// Locked by the process that works on this part.
    pub fn lock(self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.lock", self.stem()))
    }

    fn stem(self) -> String {
        match self {
            Self::WHOLE => "results".to_owned(),
            Self { number, of } => format!("part-{number}-of-{of}"),
        }
    }
}
