//! The queue of an endpoint. Calls start in the order in which they asked, and only the first in
//! the queue watches the [`State`], which decides.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::quota::CallId;
use super::state::{Admission, Reason, State};
use crate::plan::ProviderPlan;
use crate::provider::error::{Effect, ProviderError};
use crate::vendor;

/// The governors of these providers, in the same order. Providers with the same URL and key share
/// one, with the lower of each limit.
pub fn of(plans: &[ProviderPlan]) -> Vec<Arc<Governor>> {
    let mut limits: Vec<_> = plans.iter().map(|plan| plan.limits).collect();
    let twins: Vec<usize> = plans
        .iter()
        .map(|plan| plans.iter().position(|first| share_limits(first, plan)).unwrap_or_default())
        .collect();
    for (at, &first) in twins.iter().enumerate() {
        limits[first] = limits[first].lower_of(limits[at]);
    }
    let mut governors: Vec<Arc<Governor>> = Vec::new();
    for (at, &first) in twins.iter().enumerate() {
        let governor = match governors.get(first) {
            Some(twin) => Arc::clone(twin),
            None => Arc::new(Governor::new(State::new(limits[at]))),
        };
        governors.push(governor);
    }
    governors
}

fn share_limits(one: &ProviderPlan, other: &ProviderPlan) -> bool {
    let same_key = |header: &str| one.headers.get(header) == other.headers.get(header);
    one.base_url == other.base_url
        && one.key_command == other.key_command
        && vendor::key_headers().all(same_key)
}

#[derive(Debug)]
pub struct Governor {
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
struct Shared {
    state: State,
    /// The error that no call to this endpoint would escape.
    stopped: Option<ProviderError>,
    /// The same by model.
    models: HashMap<String, ProviderError>,
    /// The latest error that paused the endpoint.
    pause: Option<ProviderError>,
}

impl Governor {
    pub(super) fn new(state: State) -> Self {
        let shared = Shared { state, stopped: None, models: HashMap::new(), pause: None };
        Self {
            shared: Mutex::new(shared),
            waiting: AtomicUsize::new(0),
            gate: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// Waits until a call of about this many tokens may start. Dropping it leaves the queue.
    ///
    /// # Errors
    /// No call can succeed, as another one has shown, or none may start before the deadline.
    pub async fn admit(
        &self,
        model: &str,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Permit<'_>, ProviderError> {
        let _waiting = Waiting::new(&self.waiting);
        let mut first = std::pin::pin!(self.gate.lock());
        let _first = loop {
            // Created before the check, so that no notification in between is missed.
            let closed = self.closed.notified();
            self.check(model, deadline)?;
            tokio::select! {
                biased;
                first = &mut first => break first,
                () = closed => {}
            }
        };
        loop {
            let changed = self.changed.notified();
            self.check(model, deadline)?;
            let now = Instant::now();
            let waiting = self.waiting.load(Ordering::Relaxed);
            let admission = self.lock().state.ask(tokens, waiting, now);
            match admission {
                Admission::Now => {
                    let call = self.lock().state.start(tokens, now);
                    return Ok(Permit { governor: self, call, ended: false });
                }
                Admission::At(at, _) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = changed => {}
                },
                Admission::Later => changed.await,
            }
        }
    }

    /// The number of calls answered so far, which shows whether the endpoint makes progress.
    pub fn answered(&self) -> u64 {
        self.lock().state.answered()
    }

    /// How long no call may start, as far as the server has said so.
    pub fn pause(&self) -> Duration {
        let until = self.lock().state.paused_until();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The reason why a call has to wait; `None` if it may start.
    pub fn reason(&self) -> Option<&'static str> {
        match self.lock().state.ask(0, 0, Instant::now()) {
            Admission::Now => None,
            Admission::Later => Some("calls at once"),
            Admission::At(_, Reason::Pause) => Some("the server asked to wait"),
            Admission::At(_, Reason::Quota) => Some("limit per minute"),
            Admission::At(_, Reason::Ramp) => Some("ramping up"),
        }
    }

    /// Fails if waiting is useless.
    fn check(&self, model: &str, deadline: Instant) -> Result<(), ProviderError> {
        let shared = self.lock();
        if let Some(error) = shared.stopped.as_ref().or_else(|| shared.models.get(model)) {
            let message = error.message.clone();
            let message = message.map(|why| format!("skipped: an earlier call failed with {why}"));
            return Err(ProviderError { message, retryable: false, ..error.clone() });
        }
        let (Some(until), Some(error)) = (shared.state.paused_until(), &shared.pause) else {
            return Ok(());
        };
        let now = Instant::now();
        if until < deadline || until <= now {
            return Ok(());
        }
        let wait = until.saturating_duration_since(now).as_secs_f64();
        let message = error.message.clone().map(|why| {
            format!(
                "{why} (not tried again: the next attempt is due in {wait:.1}s, after the time \
                 limit)"
            )
        });
        Err(ProviderError { message, retryable: false, ..error.clone() })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock()
    }
}

/// Counts its owner in the queue.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The permission to make one call. Dropped without [`Self::end`], the call was cancelled.
#[derive(Debug)]
pub struct Permit<'a> {
    governor: &'a Governor,
    call: CallId,
    ended: bool,
}

impl Permit<'_> {
    /// Notes that the whole request has been sent.
    pub fn sent(&self) {
        self.governor.lock().state.sent(self.call, Instant::now());
        self.governor.changed.notify_one();
    }

    /// Notes that part of an answer has arrived, so the server has accepted the call.
    pub fn accept(&self) {
        self.governor.lock().state.accept(self.call);
        self.governor.changed.notify_one();
    }

    /// Ends the call, with its tokens if they are known.
    pub fn end(mut self, model: &str, error: Option<&ProviderError>, tokens: Option<u64>) {
        self.ended = true;
        let mut shared = self.governor.lock();
        if let Some(tokens) = tokens {
            shared.state.settle(self.call, tokens);
        }
        let Some(error) = error else {
            shared.state.answer(self.call);
            drop(shared);
            return self.notify(false);
        };
        match error.effect {
            Effect::Call => shared.state.end(self.call),
            Effect::Pause => {
                shared.state.reject(self.call, error.retry_after, Instant::now());
                shared.pause = Some(error.clone());
            }
            Effect::Model => {
                shared.state.end(self.call);
                shared.models.entry(model.to_owned()).or_insert_with(|| error.clone());
            }
            Effect::Endpoint => {
                shared.state.end(self.call);
                shared.stopped.get_or_insert_with(|| error.clone());
            }
        }
        drop(shared);
        self.notify(error.effect != Effect::Call);
    }

    fn notify(&self, whole_queue: bool) {
        self.governor.changed.notify_one();
        if whole_queue {
            self.governor.closed.notify_waiters();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.governor.lock().state.end(self.call);
            self.notify(false);
        }
    }
}
