//! Cancellation: a tree of scopes, each with the reason for which it was stopped.
//!
//! [`Cancellation::cancel`] stops a scope and every scope below it. It can be followed by two
//! stronger signals to the whole tree: [`Cancellation::kill`] ends the grace of what is being
//! stopped, and [`Cancellation::abandon`] ends all waiting.

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use parking_lot::Mutex;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::exit;
use crate::report::CancelReason;

/// The time for work to report how it ended, once all waiting is ended.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// A scope of work: the run, or one of its agents. Clones share one scope.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<Scope>);

#[derive(Debug, Default)]
struct Scope {
    stop: CancellationToken,
    /// Shared by the whole tree.
    kill: CancellationToken,
    /// Shared by the whole tree.
    abandon: CancellationToken,
    reason: Mutex<Option<CancelReason>>,
    parent: Option<Cancellation>,
}

impl Cancellation {
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope below this one: it stops with this one, or earlier by itself.
    pub fn child(&self) -> Self {
        Self(Arc::new(Scope {
            stop: self.0.stop.child_token(),
            kill: self.0.kill.clone(),
            abandon: self.0.abandon.clone(),
            reason: Mutex::default(),
            parent: Some(self.clone()),
        }))
    }

    /// Stops everything in this scope. A more severe reason replaces the current one; otherwise the
    /// first one stays. In a scope that was stopped from above, that is the reason from there: work
    /// that fails because it is stopped is no reason to stop the work beside it.
    pub fn cancel(&self, reason: impl Into<CancelReason>) {
        let reason = reason.into();
        let inherited = self.0.parent.as_ref().and_then(Self::reason);
        let mut own = self.0.reason.lock();
        let current = own.as_ref().or(inherited.as_ref());
        if current.is_none_or(|current| current.kind < reason.kind) {
            *own = Some(reason);
        }
        drop(own);
        self.0.stop.cancel();
    }

    /// Ends the grace: whatever is being stopped is killed now.
    pub fn kill(&self) {
        self.0.kill.cancel();
    }

    /// Ends all waiting: nothing waits any more for killed processes to disappear.
    pub fn abandon(&self) {
        self.0.abandon.cancel();
    }

    /// Completes when this scope, or one above it, is stopped.
    pub async fn cancelled(&self) {
        // Unconstrained: a stream that never pauses uses up its task's budget. A cancellation that
        // shared the budget would never be polled.
        unconstrained(self.0.stop.cancelled()).await;
    }

    /// Completes when the grace is ended early.
    pub async fn killed(&self) {
        unconstrained(self.0.kill.cancelled()).await;
    }

    /// Completes when all waiting is ended.
    pub async fn abandoned(&self) {
        unconstrained(self.0.abandon.cancelled()).await;
    }

    /// Waits until `work` completes, the deadline passes, or all waiting is ended.
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

    /// The signal that has cancelled it, if one has.
    pub fn signal(&self) -> Option<Signal> {
        exit::signal_of(self.reason()?.kind)
    }

    /// The reason why this scope was stopped: its own, or else that of the scope above.
    pub fn reason(&self) -> Option<CancelReason> {
        let own = self.0.reason.lock().clone();
        own.or_else(|| self.0.parent.as_ref().and_then(Self::reason))
    }
}
