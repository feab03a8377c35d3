//! Cancellation: a tree of scopes, each with the reason it was stopped for.
//!
//! A scope is asked to stop once ([`Cancellation::cancel`]), which reaches every scope below it. The
//! tree as a whole may then be told to give no more grace ([`Cancellation::kill`]), and at last not
//! to wait at all ([`Cancellation::abandon`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::report::CancelReason;

/// How long stopped work may still take to be reported once nothing is waited for.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// One scope of work: the run, or one agent of it.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<Scope>);

#[derive(Debug, Default)]
struct Scope {
    stop: CancellationToken,
    /// This and the next are those of the whole tree.
    kill: CancellationToken,
    abandon: CancellationToken,
    reason: Mutex<Option<CancelReason>>,
    parent: Option<Cancellation>,
}

impl Cancellation {
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope that ends with this one, and can be ended by itself before that.
    pub fn child(&self) -> Self {
        Self(Arc::new(Scope {
            stop: self.0.stop.child_token(),
            kill: self.0.kill.clone(),
            abandon: self.0.abandon.clone(),
            reason: Mutex::default(),
            parent: Some(self.clone()),
        }))
    }

    /// Asks everything in this scope to stop. A graver reason replaces a lesser one; otherwise the
    /// first one stays.
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        let reason = reason.into();
        let mut current = self.own_reason();
        if current.as_ref().is_none_or(|current| current.kind < reason.kind) {
            *current = Some(reason);
        }
        drop(current);
        self.0.stop.cancel();
    }

    /// No more grace: what has been asked to stop is to be killed now.
    pub fn kill(&self) {
        self.0.kill.cancel();
    }

    /// No more waiting either: what has been told to die may do so by itself.
    pub fn abandon(&self) {
        self.0.abandon.cancel();
    }

    /// Completes when this scope, or one above it, has been asked to stop.
    pub async fn cancelled(&self) {
        // Unconstrained: a stream that never pauses uses up its task's budget, and a cancellation
        // that had to share it would never be heard.
        unconstrained(self.0.stop.cancelled()).await;
    }

    /// Completes when the grace has been called off.
    pub async fn killed(&self) {
        unconstrained(self.0.kill.cancelled()).await;
    }

    /// Completes when there is to be no more waiting.
    pub async fn abandoned(&self) {
        unconstrained(self.0.abandon.cancelled()).await;
    }

    /// Waits for `work`, but not beyond the deadline, and hardly at all once nothing is to be waited
    /// for.
    pub async fn wait_for(&self, deadline: Instant, work: impl Future) {
        let abandoned = async {
            self.abandoned().await;
            sleep(LAST_MOMENT).await;
        };
        tokio::select! {
            biased;
            _done = work => {}
            () = unconstrained(sleep_until(deadline)) => {}
            () = abandoned => {}
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.stop.is_cancelled()
    }

    /// Why this scope was stopped: its own reason before that of the scope above.
    pub fn reason(&self) -> Option<CancelReason> {
        let own = self.own_reason().clone();
        own.or_else(|| self.0.parent.as_ref().and_then(|parent| parent.reason()))
    }

    fn own_reason(&self) -> MutexGuard<'_, Option<CancelReason>> {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
