//! One governor for each endpoint and key: it decides when a call may start, for all agents
//! together, and lets nobody ask in vain where the answer is known.
//!
//! [`state::State`] decides; here is the waiting. Who waits stands in a queue: calls start in the
//! order they were asked for, and only the first in the queue watches what changes.

mod quota;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use self::state::{Answer, CallId, Reason, State};
use super::{Effect, ProviderError};
use crate::plan::ProviderPlan;
use crate::vendor;

/// The governors of these providers, in their order. Those with the same address and key share
/// one, with the narrowest limits of each.
pub fn of(plans: &[ProviderPlan]) -> Vec<Arc<Governor>> {
    let mut limits: Vec<_> = plans.iter().map(|plan| plan.limits).collect();
    let twins: Vec<usize> = plans
        .iter()
        .map(|plan| plans.iter().position(|first| are_one(first, plan)).unwrap_or_default())
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

fn are_one(one: &ProviderPlan, other: &ProviderPlan) -> bool {
    let same_key = |header: &str| one.headers.get(header) == other.headers.get(header);
    one.base_url == other.base_url && vendor::key_headers().all(same_key)
}

#[derive(Debug)]
pub struct Governor {
    shared: Mutex<Shared>,
    /// How many wait.
    waiting: AtomicUsize,
    /// Held by the first of those that wait.
    gate: tokio::sync::Mutex<()>,
    /// For the first in the queue.
    changed: Notify,
    /// For all of the queue.
    closed: Notify,
}

#[derive(Debug)]
struct Shared {
    state: State,
    /// What made further calls to this endpoint pointless.
    stopped: Option<ProviderError>,
    /// The same for one model of it.
    models: HashMap<String, ProviderError>,
    /// The latest refusal.
    refusal: Option<ProviderError>,
}

impl Governor {
    fn new(state: State) -> Self {
        let shared = Shared { state, stopped: None, models: HashMap::new(), refusal: None };
        Self {
            shared: Mutex::new(shared),
            waiting: AtomicUsize::new(0),
            gate: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            closed: Notify::new(),
        }
    }

    /// Waits until a call of about so many tokens may start. Dropped, it leaves the queue.
    ///
    /// # Errors
    /// Another call has shown that none will succeed, or none may start before the deadline.
    pub async fn admit(
        &self,
        model: &str,
        tokens: u64,
        deadline: Instant,
    ) -> Result<Permit<'_>, ProviderError> {
        let _waiting = Waiting::new(&self.waiting);
        let mut first = std::pin::pin!(self.gate.lock());
        let _first = loop {
            // Before the question: what is told in between is not missed.
            let closed = self.closed.notified();
            self.obstacle(model, deadline)?;
            tokio::select! {
                biased;
                first = &mut first => break first,
                () = closed => {}
            }
        };
        loop {
            let changed = self.changed.notified();
            self.obstacle(model, deadline)?;
            let now = Instant::now();
            let at = {
                let mut shared = self.open();
                match shared.state.ask(tokens, self.waiting.load(Ordering::Relaxed), now) {
                    Answer::Now => {
                        let call = shared.state.start(tokens, now);
                        return Ok(Permit { governor: self, call, ended: false });
                    }
                    Answer::At(at, _) => Some(at),
                    Answer::Later => None,
                }
            };
            match at {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Calls that have been answered so far: whether the endpoint gets on.
    pub fn answered(&self) -> u64 {
        self.open().state.answered()
    }

    /// How long no call may start, as far as the server has said so.
    pub fn pause(&self) -> Duration {
        let until = self.open().state.paused_until();
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// Why a call that waits has to, in words; `None` if it might start.
    pub fn reason(&self) -> Option<&'static str> {
        match self.open().state.ask(0, 0, Instant::now()) {
            Answer::Now => None,
            Answer::Later => Some("calls at once"),
            Answer::At(_, Reason::Pause) => Some("the server asked to wait"),
            Answer::At(_, Reason::Quota) => Some("limit per minute"),
            Answer::At(_, Reason::Ramp) => Some("ramping up"),
        }
    }

    /// Why a call is not worth waiting for.
    fn obstacle(&self, model: &str, deadline: Instant) -> Result<(), ProviderError> {
        let shared = self.open();
        if let Some(error) = shared.stopped.as_ref().or_else(|| shared.models.get(model)) {
            let message = error
                .message
                .clone()
                .map(|message| format!("not asked, since another call got: {message}"));
            return Err(ProviderError { message, retryable: false, ..error.clone() });
        }
        let (Some(until), Some(error)) = (shared.state.paused_until(), &shared.refusal) else {
            return Ok(());
        };
        if until < deadline || until <= Instant::now() {
            return Ok(());
        }
        let wait = until.saturating_duration_since(Instant::now()).as_secs_f64();
        let message = error.message.clone().map(|message| {
            format!(
                "{message} (not tried again: the next attempt is due in {wait:.1}s, after the time \
                 limit)"
            )
        });
        Err(ProviderError { message, retryable: false, ..error.clone() })
    }

    fn open(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counted as long as it is there.
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

/// A call that may be made. Whoever drops it has hung up.
#[derive(Debug)]
pub struct Permit<'a> {
    governor: &'a Governor,
    call: CallId,
    ended: bool,
}

impl Permit<'_> {
    /// The request has left.
    pub fn sent(&self) {
        self.governor.open().state.sent(self.call, Instant::now());
        self.governor.changed.notify_one();
    }

    /// Something of an answer has come: the server has taken the call.
    pub fn prove(&self) {
        self.governor.open().state.prove(self.call);
        self.governor.changed.notify_one();
    }

    /// How the call ended, and what it took where that is known.
    pub fn end(mut self, model: &str, error: Option<&ProviderError>, tokens: Option<u64>) {
        self.ended = true;
        let mut shared = self.governor.open();
        if let Some(tokens) = tokens {
            shared.state.settle(self.call, tokens);
        }
        let Some(error) = error else {
            shared.state.answer(self.call);
            return self.tell(false);
        };
        match error.effect {
            Effect::Call => shared.state.end(self.call),
            Effect::Pause => {
                shared.state.refuse(self.call, error.retry_after, Instant::now());
                shared.refusal = Some(error.clone());
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
        self.tell(error.effect != Effect::Call);
    }

    fn tell(&self, to_all: bool) {
        self.governor.changed.notify_one();
        if to_all {
            self.governor.closed.notify_waiters();
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.governor.open().state.end(self.call);
            self.tell(false);
        }
    }
}
