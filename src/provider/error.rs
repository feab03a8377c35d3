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
    /// Another attempt may succeed.
    pub retryable: bool,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
    /// How the server ended an answer that was withheld or broken off.
    pub finish_reason: Option<Untrusted>,
    pub effect: Effect,
    /// It was recorded in an earlier run. `retryable` says whether the call was tried again there.
    pub is_recorded: bool,
}

impl ProviderError {
    /// An error that concerns this call only, and that another attempt would meet again.
    pub fn new(kind: ErrorKind, message: impl Into<Untrusted>) -> Self {
        Self {
            kind,
            scope: None,
            message: message.into(),
            retryable: false,
            retry_after: None,
            finish_reason: None,
            effect: Effect::Call,
            is_recorded: false,
        }
    }
}

/// The consequence of a failed call for other calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    #[default]
    Call,
    /// The model accepts no calls for now. If another model waits already, it is the endpoint that
    /// accepts none.
    PauseModel,
    /// The endpoint accepts no calls for now.
    PauseEndpoint,
    /// No call to this model will succeed.
    StopModel,
    /// The key or the account may not use this model. If the same holds for another model, no call
    /// to the endpoint will succeed.
    DenyModel,
    /// No call to this endpoint with this key will succeed.
    StopEndpoint,
}

impl ProviderError {
    /// Whether the account's credit or quota is used up: waiting does not help.
    pub fn is_used_up(&self) -> bool {
        self.kind == ErrorKind::RateLimited && self.effect.is_stop()
    }
}

impl Effect {
    pub fn is_pause(self) -> bool {
        matches!(self, Self::PauseModel | Self::PauseEndpoint)
    }

    fn is_stop(self) -> bool {
        matches!(self, Self::StopModel | Self::DenyModel | Self::StopEndpoint)
    }
}
