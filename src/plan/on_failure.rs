//! The effect of a failure on others.

use crate::config::file::OnFailureConfig;

/// The effect of a failed agent on the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Cancel,
    Continue,
}

impl From<OnFailureConfig> for OnFailure {
    fn from(config: OnFailureConfig) -> Self {
        match config {
            OnFailureConfig::Cancel => Self::Cancel,
            OnFailureConfig::Continue => Self::Continue,
        }
    }
}
