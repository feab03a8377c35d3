//! The error of a model call.

use std::time::Duration;

use crate::report::{ErrorKind, Scope};
use crate::untrusted::Untrusted;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    /// It holds the server's own words.
    pub message: Untrusted,
    /// Another attempt may succeed, and nothing of an answer had arrived.
    pub retryable: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How the server ended an answer that was withheld or broken off.
    pub finish_reason: Option<Untrusted>,
    pub effect: Effect,
}

/// The consequence of a failed call for other calls.
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
