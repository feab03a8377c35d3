//! The error of a model call.

use std::time::Duration;

use crate::report::{ErrorKind, Scope};

/// Why a call failed. `message` carries the server's own words and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    pub message: String,
    /// Another attempt may succeed, and nothing of an answer had arrived.
    pub retryable: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How the server ended an answer that was withheld or broken off.
    pub finish_reason: Option<String>,
    pub effect: Effect,
}

/// What a failed call means for other calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    #[default]
    Call,
    /// The endpoint accepts no calls for now.
    Pause,
    /// No call to this model will succeed.
    Model,
    /// No call to this endpoint with this key will succeed.
    Endpoint,
}
