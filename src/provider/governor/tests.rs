//! The governor against simulated servers, in paused time.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt as _, join, join_all};
use reqwest::header::{HeaderName, HeaderValue};
use tokio::time::{Instant, sleep, timeout};

use super::admission::{Governor, Permit, Wanted, of};
use super::state::{Admission, State};
use crate::plan::{ProviderPlan, RateLimits};
use crate::provider::error::{Effect, ProviderError};
use crate::report::ErrorKind;
use crate::untrusted::Untrusted;
use crate::vendor::Api;

pub(super) const HOUR: Duration = Duration::from_secs(3600);
const RTT: Duration = Duration::from_millis(20);

pub(super) fn governor(limits: RateLimits) -> Governor {
    Governor::new(limits)
}

/// A call of a model of an agent's own choice.
pub(super) async fn admit<'a>(
    governor: &'a Governor,
    model: &str,
    tokens: u64,
    deadline: Instant,
) -> Result<Permit<'a>, ProviderError> {
    governor.admit(Wanted { model, tokens, is_fallback: false }, deadline).await
}

pub(super) fn error(effect: Effect, retry_after: Option<Duration>) -> ProviderError {
    let error = ProviderError::new(ErrorKind::RateLimited, "mock: no");
    ProviderError { retryable: true, retry_after, effect, ..error }
}

/// Accepts a number of concurrent calls and rejects the others.
struct Server<'a> {
    governor: &'a Governor,
    most: Cell<usize>,
    /// The wait that it asks for.
    wait: Option<Duration>,
    /// The time it takes to reject a call.
    busy: Duration,
    takes: Duration,
    open: Cell<usize>,
    peak: Cell<usize>,
    rejected: RefCell<Vec<Instant>>,
    started: RefCell<Vec<Instant>>,
}

impl<'a> Server<'a> {
    fn new(governor: &'a Governor, most: usize) -> Self {
        Self {
            governor,
            most: Cell::new(most),
            wait: None,
            busy: RTT,
            takes: Duration::from_millis(500),
            open: Cell::new(0),
            peak: Cell::new(0),
            rejected: RefCell::default(),
            started: RefCell::default(),
        }
    }

    /// An agent that makes one call, until it is answered.
    async fn serve(&self) {
        loop {
            let permit = admit(self.governor, "m", 0, Instant::now() + HOUR).await.unwrap();
            self.started.borrow_mut().push(Instant::now());
            permit.sent();
            if self.open.get() >= self.most.get() {
                sleep(self.busy).await;
                self.rejected.borrow_mut().push(Instant::now());
                permit.end(Some(&error(Effect::PauseModel, self.wait)), Some(0));
                continue;
            }
            self.open.set(self.open.get() + 1);
            self.peak.set(self.peak.get().max(self.open.get()));
            sleep(RTT).await;
            if self.takes > RTT * 5 {
                permit.accept();
            } // A short answer comes whole.
            sleep(self.takes).await;
            self.open.set(self.open.get() - 1);
            permit.end(None, Some(0));
            return;
        }
    }

    async fn serve_all(&self, agents: usize) -> Duration {
        let begun = Instant::now();
        join_all((0..agents).map(|_| self.serve())).await;
        begun.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn the_capacity_of_a_server_is_discovered_with_few_rejected_calls() {
    for (agents, most, wait, takes) in [
        (200, 20, None, 500),
        (200, 20, None, 50),
        (200, 20, None, 5000),
        (200, 20, Some(Duration::from_secs(1)), 500),
        (200, 20, Some(Duration::from_secs(1)), 10),
        (200, 20, Some(Duration::ZERO), 500),
        (500, 50, None, 100),
        (1000, 65, None, 500),
        (1000, 100, None, 500),
        (5000, 500, None, 50),
    ] {
        let takes = Duration::from_millis(takes);
        let governor = governor(RateLimits::default());
        let server = Server { wait, takes, ..Server::new(&governor, most) };
        server.serve_all(agents).await;
        let rejected = server.rejected.borrow().len();
        assert!(
            rejected * 10 <= agents,
            "{rejected} of {agents} with {most} at once, {wait:?}, {takes:?}"
        );
        assert_eq!(server.peak.get(), most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_rejects_late_rejects_no_call_twice() {
    let governor = governor(RateLimits::default());
    let (busy, takes) = (Duration::from_secs(3), Duration::from_secs(5));
    let server = Server { busy, takes, ..Server::new(&governor, 20) };
    server.serve_all(200).await;
    let rejected = server.rejected.borrow().len();
    assert!(rejected <= 200, "{rejected}");
    assert_eq!(server.peak.get(), 20);
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_during_the_pause_that_the_server_asked_for() {
    let wait = Duration::from_secs(5);
    let governor = governor(RateLimits::default());
    let server = Server { wait: Some(wait), ..Server::new(&governor, 20) };
    server.serve_all(100).await;
    for rejected in server.rejected.borrow().iter() {
        let mut started = server.started.borrow().clone();
        started.retain(|started| started > rejected && *started < *rejected + wait);
        assert!(started.is_empty(), "{rejected:?}: {started:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_all_calls_gets_all_soon() {
    let governor = governor(RateLimits::default());
    let server = Server { takes: HOUR, ..Server::new(&governor, usize::MAX) };
    let seen = timeout(Duration::from_secs(2), server.serve_all(1000)).await;
    assert_eq!((seen.is_err(), server.peak.get()), (true, 1000));

    // Silent calls count as accepted: these never get an answer.
    let silent = Governor::new(RateLimits::default());
    let started = Cell::new(0);
    let call = || async {
        let permit = admit(&silent, "m", 0, Instant::now() + HOUR).await.unwrap();
        permit.sent();
        started.set(started.get() + 1);
        std::future::pending::<()>().await;
    };
    let all = join_all((0..1000).map(|_| call()));
    assert!(timeout(Duration::from_secs(2), all).await.is_err());
    assert_eq!((started.get(), silent.reason("m")), (1000, None));
}

#[tokio::test(start_paused = true)]
async fn max_concurrency_calls_start_at_once() {
    let limits = RateLimits { max_concurrency: Some(300), ..RateLimits::default() };
    let governor = governor(limits);
    let server = Server { takes: HOUR, ..Server::new(&governor, usize::MAX) };
    let seen = timeout(Duration::from_millis(1), server.serve_all(1000)).await;
    assert_eq!((seen.is_err(), server.peak.get()), (true, 300));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_more_than_before_gets_more() {
    let governor = governor(RateLimits::default());
    let server = Server::new(&governor, 2);
    let later = async {
        sleep(Duration::from_secs(10)).await;
        server.most.set(64);
    };
    join(server.serve_all(1000), later).await;
    assert!(server.peak.get() >= 32, "{}", server.peak.get());
}

#[tokio::test(start_paused = true)]
async fn max_concurrency_is_never_exceeded() {
    let governor = governor(RateLimits { max_concurrency: Some(3), ..RateLimits::default() });
    let server = Server::new(&governor, usize::MAX);
    let took = server.serve_all(9).await;
    assert_eq!((server.peak.get(), took), (3, 3 * (server.takes + RTT)));
}

#[tokio::test(start_paused = true)]
async fn requests_per_minute_are_never_exceeded() {
    let governor = governor(RateLimits { requests_per_minute: Some(10), ..RateLimits::default() });
    let server = Server::new(&governor, usize::MAX);
    let begun = Instant::now();
    server.serve_all(25).await;
    let minutes: Vec<u64> =
        server.started.borrow().iter().map(|at| (*at - begun).as_secs() / 60).collect();
    let in_minute = |minute| minutes.iter().filter(|found| **found == minute).count();
    assert_eq!([0, 1, 2].map(in_minute), [10, 10, 5]);
}

#[tokio::test(start_paused = true)]
async fn tokens_per_minute_are_never_exceeded() {
    let governor = governor(RateLimits { tokens_per_minute: Some(1000), ..RateLimits::default() });
    let begun = Instant::now();
    let later = begun + HOUR;
    let admit = |tokens| admit(&governor, "m", tokens, later);
    let first = admit(900).await.unwrap();
    assert!(admit(900).now_or_never().is_none());
    // It used less than estimated.
    first.end(None, Some(100));
    admit(900).await.unwrap().end(None, Some(900));
    assert_eq!(begun.elapsed(), Duration::ZERO);
    admit(500).await.unwrap().end(None, None);
    assert_eq!(begun.elapsed(), Duration::from_secs(60));
    // A call beyond the limit gets a minute of its own.
    admit(5000).await.unwrap().end(None, None);
    assert_eq!(begun.elapsed(), Duration::from_secs(120));
}

#[tokio::test(start_paused = true)]
async fn processes_that_share_rates_keep_to_them_together() {
    let limits = RateLimits {
        max_concurrency: Some(10),
        requests_per_minute: Some(10),
        tokens_per_minute: Some(8000),
        ..RateLimits::default()
    };
    let concurrency = |processes| limits.share(processes).max_concurrency;
    assert_eq!([1, 3, 10, 99].map(concurrency), [10, 3, 1, 1].map(Some));
    assert_eq!(limits.share(1), limits);
    // Each call takes what one of 4 processes may use in 2 minutes, one of 40 in 20.
    for (processes, minutes) in [(4, 2), (40, 20)] {
        let governor = governor(limits.share(processes));
        let begun = Instant::now();
        for call in 0..3 {
            let permit = admit(&governor, "m", 4000, begun + 2 * HOUR).await.unwrap();
            assert_eq!(begun.elapsed(), Duration::from_secs(60 * minutes * call));
            permit.end(None, None);
        }
    }
    // Of 40 processes each may make one request in 4 minutes.
    let governor = governor(limits.share(40));
    let begun = Instant::now();
    for call in 0..3 {
        admit(&governor, "m", 1, begun + HOUR).await.unwrap().end(None, None);
        assert_eq!(begun.elapsed(), Duration::from_secs(4 * 60 * call));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_every_call_would_get_ends_the_queue() {
    let one = RateLimits { max_concurrency: Some(1), ..RateLimits::default() };
    for (effect, other_goes_on) in [(Effect::StopEndpoint, false), (Effect::StopModel, true)] {
        let governor = governor(one);
        let later = Instant::now() + HOUR;
        let first = admit(&governor, "m", 0, later).await.unwrap();
        let wait = |model| admit(&governor, model, 0, later);
        let waiting = join_all(["other", "m", "m"].map(wait));
        let begun = Instant::now();
        let fail = async { first.end(Some(&error(effect, None)), None) };
        // The other model's permit is dropped with the result, for the next in the queue.
        let (ended, ()) = join(
            waiting.map(|ended| ended.into_iter().map(|one| one.map(drop)).collect::<Vec<_>>()),
            fail,
        )
        .await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let ended: Vec<_> =
            ended.into_iter().map(|one| one.map_err(|error| error.message)).collect();
        let same = Err(Untrusted::from("skipped: an earlier call failed with mock: no"));
        assert_eq!(ended, [if other_goes_on { Ok(()) } else { same.clone() }, same.clone(), same]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_leaves_the_queue_does_not_block_it() {
    let governor = governor(RateLimits { max_concurrency: Some(1), ..RateLimits::default() });
    let later = Instant::now() + HOUR;
    let first = admit(&governor, "m", 0, later).await.unwrap();
    let (mut second, mut third) =
        (Box::pin(admit(&governor, "m", 0, later)), Box::pin(admit(&governor, "m", 0, later)));
    assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
    drop(second);
    // Dropped as well, not ended: its agent was cancelled.
    drop(first);
    assert!(third.now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_pause_beyond_the_deadline_fails_the_call_at_once() {
    let governor = governor(RateLimits { max_concurrency: Some(1), ..RateLimits::default() });
    let begun = Instant::now();
    let first = admit(&governor, "m", 0, begun + HOUR).await.unwrap();
    let short = || admit(&governor, "m", 0, begun + Duration::from_secs(10));
    let reject = async {
        first.end(Some(&error(Effect::PauseModel, Some(Duration::from_secs(30)))), None);
    };
    let (one, other, ()) = futures::join!(short(), short(), reject);
    for ended in [one, other] {
        let error = ended.unwrap_err();
        assert!(error.message.contains("not tried again") && !error.retryable, "{error:?}");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    admit(&governor, "m", 0, begun + HOUR).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn the_pause_doubles_while_a_server_only_rejects() {
    let governor = governor(RateLimits::default());
    let begun = Instant::now();
    for pause in [250, 500, 1000, 2000, 4000] {
        let asked = Instant::now();
        let permit = admit(&governor, "m", 0, begun + HOUR).await.unwrap();
        permit.end(Some(&error(Effect::PauseModel, None)), None);
        assert_eq!(governor.pause("m"), Duration::from_millis(pause), "{:?}", asked - begun);
    }
}

#[test]
fn providers_with_the_same_address_and_key_share_a_governor() {
    let plan = |url: &str, header: &'static str, key: &'static str, calls| ProviderPlan {
        name: "x".into(),
        vendor: None,
        api: Api::OpenAi,
        api_is_given: false,
        base_url: url.parse().unwrap(),
        headers: [(HeaderName::from_static(header), HeaderValue::from_static(key))]
            .into_iter()
            .collect(),
        key_variable: None,
        key_command: None,
        limits: RateLimits { max_concurrency: calls, ..RateLimits::default() },
    };
    let plans = [
        plan("http://a", "authorization", "Bearer k", Some(9)),
        plan("http://a", "authorization", "Bearer other", None),
        plan("http://b", "authorization", "Bearer k", None),
        plan("http://a", "authorization", "Bearer k", Some(1)),
        plan("http://b", "api-key", "k", None),
    ];
    let found = of(&plans);
    let same = |one: usize, other: usize| Arc::ptr_eq(&found[one], &found[other]);
    assert!(same(0, 3) && !same(0, 1) && !same(0, 2) && !same(2, 4));
    assert_eq!(found.len(), plans.len());
    assert_eq!(found[0].reason("m"), None);
    let first = admit(&found[0], "m", 0, Instant::now() + HOUR).now_or_never();
    assert!(first.is_some_and(|permit| permit.is_ok() && found[3].reason("m").is_some()));
}

#[tokio::test(start_paused = true)]
async fn calls_accepted_one_after_the_other_do_not_count_as_accepted_at_once() {
    let mut state = State::new(RateLimits::default());
    let begun = Instant::now();
    let at = |ms| begun + Duration::from_millis(ms);
    let fill = |state: &mut State, now| {
        let mut calls = Vec::new();
        while state.ask(0, 0, now) == Admission::Now {
            let call = state.start(0, now);
            state.sent(call, now);
            calls.push(call);
        }
        calls
    };
    let first = fill(&mut state, at(0));
    assert_eq!(first.len(), 16);
    // Answered before they could have been silent long enough.
    first.into_iter().for_each(|call| state.answer(call));
    assert_eq!(fill(&mut state, at(100)).len(), 16);
    // These are accepted by silence: twice as many may be pending as before, not three times.
    assert_eq!(fill(&mut state, at(700)).len(), 16);
}
