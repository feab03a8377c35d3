//! One queue of calls: all those to an endpoint, or to one of its models. Calls start in the order
//! in which they asked, and only the first in the queue watches the [`State`], which decides.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::state::{Admission, State};
use crate::plan::RateLimits;
use crate::provider::error::ProviderError;

#[derive(Debug)]
pub struct Queue {
    shared: Mutex<Shared>,
    /// The length of the queue.
    waiting: AtomicUsize,
    /// Held by the first in the queue.
    gate: tokio::sync::Mutex<()>,
    /// Wakes the first in the queue.
    changed: Notify,
    /// Wakes the whole queue.
    closed: Notify,
}

#[derive(Debug)]
pub struct Shared {
    pub state: State,
    /// The error that no call in this queue would escape.
    pub stopped: Option<ProviderError>,
    /// The latest error that paused the queue.
    pub pause: Option<ProviderError>,
    /// The key or the account is of no use for these calls.
    pub is_denied: bool,
}

impl Queue {
    pub fn new(limits: RateLimits) -> Self {
        let state = State::new(limits);
        let shared = Shared { state, stopped: None, pause: None, is_denied: false };
        Self {
            shared: Mutex::new(shared),
            waiting: AtomicUsize::new(0),
            gate: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            closed: Notify::new(),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }

    /// Counts the owner of the result in the queue.
    pub fn count(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// The length of the queue.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits to be the first in the queue, as long as `check` succeeds.
    pub async fn enter(
        &self,
        check: &impl Fn() -> Result<(), ProviderError>,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, ProviderError> {
        let mut first = std::pin::pin!(self.gate.lock());
        loop {
            // Created before the check, so that no notification in between is missed.
            let closed = self.closed.notified();
            check()?;
            tokio::select! {
                biased;
                first = &mut first => return Ok(first),
                () = closed => {}
            }
        }
    }

    /// Waits until a call of about this many tokens may start, as long as `check` succeeds. For the
    /// first in the queue.
    pub async fn ready(
        &self,
        tokens: u64,
        check: &impl Fn() -> Result<(), ProviderError>,
    ) -> Result<(), ProviderError> {
        loop {
            let changed = self.changed.notified();
            check()?;
            match self.ask(tokens) {
                Admission::Now => return Ok(()),
                Admission::At(at, _) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = changed => {}
                },
                Admission::Later => changed.await,
            }
        }
    }

    pub fn ask(&self, tokens: u64) -> Admission {
        let waiting = self.waiting.load(Ordering::Relaxed);
        self.lock().state.ask(tokens, waiting, Instant::now())
    }

    /// Wakes the first in the queue, or all of it.
    pub fn notify(&self, all: bool) {
        self.changed.notify_one();
        if all {
            self.closed.notify_waiters();
        }
    }
}

/// Counts its owner in a queue.
pub struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
