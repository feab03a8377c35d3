//! The governor of an endpoint. Each of its models has a queue of its own, and the first of each
//! waits in the endpoint's queue, so that a model that has to wait holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::queue::Queue;
use super::quota::CallId;
use super::state::{Admission, Reason};
use crate::plan::{ProviderPlan, RateLimits};
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
            None => Arc::new(Governor::new(limits[at])),
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
    endpoint: Queue,
    models: Mutex<HashMap<String, Arc<Queue>>>,
    /// The limits that hold for each model as well.
    model_limits: RateLimits,
}

/// A call that is to be admitted.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The model's name on its server.
    pub model: &'a str,
    /// An estimate.
    pub tokens: u64,
    /// Another model of the agent's list has failed. Such a call is made although the endpoint
    /// rejects others: an agent's list is there to be tried.
    pub is_fallback: bool,
}

impl Governor {
    pub(super) fn new(limits: RateLimits) -> Self {
        let max_concurrency = limits.max_concurrency;
        Self {
            endpoint: Queue::new(limits),
            models: Mutex::default(),
            model_limits: RateLimits { max_concurrency, ..RateLimits::default() },
        }
    }

    /// Waits until a call may start. Dropping it leaves the queues.
    ///
    /// # Errors
    /// No call can succeed, as another one has shown, or none may start before the deadline.
    pub async fn admit(
        &self,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Result<Permit<'_>, ProviderError> {
        let model = self.model(wanted.model);
        let _waiting = [model.count(), self.endpoint.count()];
        let check = || self.check(&model, wanted, deadline);
        let _first_of_model = model.enter(&check).await?;
        loop {
            model.ready(wanted.tokens, &check).await?;
            let _first = self.endpoint.enter(&check).await?;
            self.endpoint.ready(wanted.tokens, &check).await?;
            if let Some(permit) = self.start(&model, wanted.tokens) {
                return Ok(permit);
            }
            // The model has been paused in the meantime.
        }
    }

    fn start(&self, model: &Arc<Queue>, tokens: u64) -> Option<Permit<'_>> {
        let now = Instant::now();
        let admissions = [model.ask(tokens), self.endpoint.ask(tokens)];
        (admissions == [Admission::Now; 2]).then(|| Permit {
            governor: self,
            model: Arc::clone(model),
            model_call: model.lock().state.start(tokens, now),
            endpoint_call: self.endpoint.lock().state.start(tokens, now),
            ended: false,
        })
    }

    /// The number of calls that wait.
    pub fn waiting(&self) -> usize {
        self.endpoint.waiting()
    }

    /// The number of calls answered so far under the limits that a model has met, which shows
    /// whether waiting makes sense.
    pub fn answered(&self, model: &str) -> u64 {
        let endpoint = self.endpoint.lock();
        match endpoint.pause {
            Some(_) => endpoint.state.answered(),
            None => self.model(model).lock().state.answered(),
        }
    }

    /// How long no call to the model may start, as far as the server has said so.
    pub fn pause(&self, model: &str) -> Duration {
        let (until, _) = self.paused(&self.model(model));
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    /// The reason why a call to the model has to wait; `None` if it may start.
    pub fn reason(&self, model: &str) -> Option<&'static str> {
        let reason = |queue: &Queue| match queue.lock().state.ask(0, 0, Instant::now()) {
            Admission::Now => None,
            Admission::Later => Some("calls at once"),
            Admission::At(_, Reason::Pause) => Some("the server asked to wait"),
            Admission::At(_, Reason::Quota) => Some("limit per minute"),
            Admission::At(_, Reason::Ramp) => Some("ramping up"),
        };
        reason(&self.model(model)).or_else(|| reason(&self.endpoint))
    }

    fn model(&self, name: &str) -> Arc<Queue> {
        let mut models = self.models.lock();
        match models.get(name) {
            Some(queue) => Arc::clone(queue),
            None => {
                let queue = Arc::new(Queue::new(self.model_limits));
                models.insert(name.to_owned(), Arc::clone(&queue));
                queue
            }
        }
    }

    /// The end of a model's pause, and the error that caused it.
    fn paused(&self, model: &Queue) -> (Option<Instant>, Option<ProviderError>) {
        let pause = |queue: &Queue| {
            let shared = queue.lock();
            (shared.state.paused_until(), shared.pause.clone())
        };
        let (model, endpoint) = (pause(model), pause(&self.endpoint));
        if endpoint.0 > model.0 { endpoint } else { model }
    }

    /// Fails if waiting is useless.
    fn check(
        &self,
        model: &Queue,
        wanted: Wanted<'_>,
        deadline: Instant,
    ) -> Result<(), ProviderError> {
        let of_endpoint = || self.endpoint.lock().stopped.clone().filter(|_| !wanted.is_fallback);
        let of_model = model.lock().stopped.clone();
        if let Some(error) = of_model.or_else(of_endpoint) {
            let message = error
                .message
                .map(|message| format!("skipped: an earlier call failed with {message}"));
            return Err(ProviderError { message, retryable: false, ..error });
        }
        let (Some(until), Some(error)) = self.paused(model) else { return Ok(()) };
        let now = Instant::now();
        if until < deadline || until <= now {
            return Ok(());
        }
        let wait = until.saturating_duration_since(now).as_secs_f64();
        let message = error.message.map(|message| {
            format!(
                "{message} (not tried again: the next attempt is due in {wait:.1}s, after the \
                 time limit)"
            )
        });
        Err(ProviderError { message, retryable: false, ..error })
    }

    /// Whether the condition holds for a model other than this one.
    fn any_other(&self, model: &Arc<Queue>, condition: impl Fn(&Queue) -> bool) -> bool {
        let models = self.models.lock();
        models.values().any(|other| !Arc::ptr_eq(other, model) && condition(other))
    }
}

/// The permission to make one call. Dropped without [`Self::end`], the call was cancelled.
#[derive(Debug)]
pub struct Permit<'a> {
    governor: &'a Governor,
    model: Arc<Queue>,
    model_call: CallId,
    endpoint_call: CallId,
    ended: bool,
}

impl Permit<'_> {
    fn queues(&self) -> [(&Queue, CallId); 2] {
        [(&self.model, self.model_call), (&self.governor.endpoint, self.endpoint_call)]
    }

    /// Notes that the whole request has been sent.
    pub fn sent(&self) {
        for (queue, call) in self.queues() {
            queue.lock().state.sent(call, Instant::now());
            queue.notify(false);
        }
    }

    /// Notes that part of an answer has arrived, so the server has accepted the call.
    pub fn accept(&self) {
        for (queue, call) in self.queues() {
            queue.lock().state.accept(call);
            queue.notify(false);
        }
    }

    /// Ends the call, with its tokens if they are known.
    pub fn end(mut self, error: Option<&ProviderError>, tokens: Option<u64>) {
        self.ended = true;
        for (queue, call) in self.queues() {
            let mut shared = queue.lock();
            if let Some(tokens) = tokens {
                shared.state.settle(call, tokens);
            }
            if error.is_none() {
                shared.state.answer(call);
            }
        }
        let Some(error) = error else { return self.notify(false) };
        let (ends_model, ends_endpoint) = match error.effect {
            Effect::Call => (false, false),
            Effect::PauseModel => (true, self.is_another_paused()),
            Effect::PauseEndpoint | Effect::StopEndpoint => (true, true),
            Effect::StopModel => (true, false),
            Effect::DenyModel => {
                self.model.lock().is_denied = true;
                let is_denied = |queue: &Queue| queue.lock().is_denied;
                (true, self.governor.any_other(&self.model, is_denied))
            }
        };
        for ((queue, call), is_meant) in self.queues().into_iter().zip([ends_model, ends_endpoint])
        {
            let mut shared = queue.lock();
            match is_meant {
                true if error.effect.is_pause() => {
                    shared.state.reject(call, error.retry_after, Instant::now());
                    shared.pause = Some(error.clone());
                }
                true => {
                    shared.state.end(call);
                    shared.stopped.get_or_insert_with(|| error.clone());
                }
                false => shared.state.end(call),
            }
        }
        self.notify(ends_model);
    }

    fn is_another_paused(&self) -> bool {
        let now = Some(Instant::now());
        let is_paused = |queue: &Queue| queue.lock().state.paused_until() > now;
        self.governor.any_other(&self.model, is_paused)
    }

    /// `all`: other calls may have become useless.
    fn notify(&self, all: bool) {
        self.model.notify(all);
        self.governor.endpoint.notify(all);
        if all {
            self.governor.models.lock().values().for_each(|queue| queue.notify(true));
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.queues().iter().for_each(|(queue, call)| queue.lock().state.end(*call));
            self.notify(false);
        }
    }
}
