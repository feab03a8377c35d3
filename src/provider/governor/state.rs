//! When the next call to an endpoint may start. Without IO, waiting and clock: every question and
//! every event comes with its time.
//!
//! The number of concurrent calls that a server accepts is discovered as TCP discovers the capacity
//! of a network:
//!
//! - A call is *accepted* when part of an answer has arrived, or when no rejection has arrived for
//!   [`SILENCE`]. There are at most as many pending calls as have been accepted before, and at most
//!   twice as many open ones as were seen open at once. So calls double until some are rejected,
//!   and hardly more are rejected than accepted. If many calls wait, a few more may be pending.
//! - A rejection (429, 529) closes the *window* to the calls that were open without the rejected
//!   ones, pauses the endpoint for as long as the server says, and restarts the ramp at one call.
//! - Rejections of calls that were open together are one *episode* and count once.
//! - The window widens when it was fully used: by one, by more each time that succeeds, and more
//!   rarely each time it fails.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::quota::{CallId, Quota};
use super::window::Window;
use crate::plan::RateLimits;

/// The calls that may be pending before any has been accepted, without `max_concurrency`.
const FIRST_CALLS: usize = 16;
/// One in this many of all calls that are wanted may be pending in any case.
const OVERSHOOT: usize = 16;
/// After this time a call counts as accepted: rejections arrive at once, answers take their time.
const SILENCE: Duration = Duration::from_millis(250);
/// The pause after a rejection that names none. Doubles with each consecutive episode.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Now,
    /// Ask again then, or when something has changed.
    At(Instant, Reason),
    /// Ask again when something has changed.
    Later,
}

/// Why a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server has rejected calls.
    Pause,
    /// Requests or tokens per minute are used up.
    Quota,
    /// Earlier calls are pending.
    Ramp,
}

/// The knowledge about one endpoint and key.
#[derive(Debug)]
pub struct State {
    max_concurrency: usize,
    quota: Quota,
    open: BTreeSet<CallId>,
    /// The largest number of calls that the server is known to have accepted at once.
    reached: usize,
    pending: HashMap<CallId, Pending>,
    /// The pending calls that have been sent, in this order.
    sent: BTreeSet<(Instant, CallId)>,
    /// The calls accepted since the last episode began.
    accepted: usize,
    first_calls: usize,
    next: CallId,
    paused_until: Option<Instant>,
    window: Window,
    /// A rejection of this call or a later one begins a new episode.
    episode: CallId,
    /// The number of episodes since the last answer.
    episodes: u32,
    answered: u64,
}

/// An open call that has been neither accepted nor rejected.
#[derive(Debug, Clone, Copy)]
struct Pending {
    sent: Option<Instant>,
    /// The number of pending calls when it started, including itself.
    among: usize,
}

impl State {
    pub fn new(limits: RateLimits) -> Self {
        Self {
            max_concurrency: limits.max_concurrency.unwrap_or(usize::MAX),
            quota: Quota::new(limits),
            open: BTreeSet::new(),
            reached: 0,
            pending: HashMap::new(),
            sent: BTreeSet::new(),
            accepted: 0,
            // The file's number is believed until a call is rejected.
            first_calls: limits.max_concurrency.unwrap_or(FIRST_CALLS),
            next: 0,
            paused_until: None,
            window: Window::default(),
            episode: 0,
            episodes: 0,
            answered: 0,
        }
    }

    /// Whether a call of about this many tokens may start now. `waiting`: the length of the queue.
    pub fn ask(&mut self, tokens: u64, waiting: usize, now: Instant) -> Admission {
        self.accept_silent(now);
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            return Admission::At(until, Reason::Pause);
        }
        if self.open.len() >= self.max_concurrency.min(self.window.size()) {
            return Admission::Later;
        }
        if self.pending.len() >= self.max_pending(waiting) {
            return match self.sent.first() {
                Some((sent, _)) => Admission::At(*sent + SILENCE, Reason::Ramp),
                None => Admission::Later,
            };
        }
        match self.quota.free_at(tokens, now) {
            Some(at) => Admission::At(at, Reason::Quota),
            None => Admission::Now,
        }
    }

    fn max_pending(&self, waiting: usize) -> usize {
        let was_rejected = self.episode > 0;
        let wanted = self.open.len() + waiting;
        let overshoot = if was_rejected { 0 } else { wanted / OVERSHOOT };
        let settled = self.open.len() - self.pending.len();
        let doubled = (2 * self.reached).saturating_sub(settled);
        self.accepted.min(doubled).max(self.first_calls).max(overshoot)
    }

    /// Starts a call that [`Self::ask`] has admitted.
    pub fn start(&mut self, tokens: u64, now: Instant) -> CallId {
        let call = self.next;
        self.next += 1;
        self.open.insert(call);
        let among = self.pending.len() + 1;
        self.pending.insert(call, Pending { sent: None, among });
        self.quota.take(call, tokens, now);
        call
    }

    /// Notes that the request has been sent, so from now on the server may reject it.
    pub fn sent(&mut self, call: CallId, now: Instant) {
        if let Some(Pending { sent: sent @ None, .. }) = self.pending.get_mut(&call) {
            *sent = Some(now);
            self.sent.insert((now, call));
        }
    }

    /// Notes that part of an answer has arrived.
    pub fn accept(&mut self, call: CallId) {
        let Some(pending) = self.remove_pending(call) else { return };
        self.accepted += 1;
        // The server holds this call and those before it that are still open; of later ones nothing
        // is known. If answers are short, none may be open although many were sent.
        let is_news = self.open.len() > self.reached;
        let held = if is_news { self.open.range(..=call).count() } else { 0 };
        self.reached = self.reached.max(held).max(pending.among);
    }

    fn remove_pending(&mut self, call: CallId) -> Option<Pending> {
        let pending = self.pending.remove(&call)?;
        if let Some(sent) = pending.sent {
            self.sent.remove(&(sent, call));
        }
        Some(pending)
    }

    /// Ends a call that was answered.
    pub fn answer(&mut self, call: CallId) {
        self.accept(call);
        self.answered += 1;
        self.episodes = 0;
        self.window.answer(self.open.len());
        self.open.remove(&call);
    }

    /// Ends a call that the server rejected, with the wait that it asked for.
    pub fn reject(&mut self, call: CallId, wait: Option<Duration>, now: Instant) {
        self.remove_pending(call);
        if call >= self.episode {
            self.episode = self.next;
            self.episodes += 1;
            self.accepted = 0;
            self.first_calls = 1;
            self.window.begin_episode(self.open.len());
        }
        self.open.remove(&call);
        self.window.reject(self.open.len());
        let again = self.episodes.saturating_sub(1);
        let own = FIRST_PAUSE.saturating_mul(1 << again.min(16)).min(MAX_PAUSE);
        // If the server's wait has proved too short, crew's own grows beyond it.
        let wait = wait.map_or(own, |wait| if again > 0 { wait.max(own) } else { wait });
        self.paused_until = self.paused_until.max(Some(now + wait));
    }

    /// Ends a call in a way that says nothing about the endpoint's limits.
    pub fn end(&mut self, call: CallId) {
        self.remove_pending(call);
        self.open.remove(&call);
    }

    /// Replaces the estimated tokens of a call by the real ones.
    pub fn settle(&mut self, call: CallId, tokens: u64) {
        self.quota.settle(call, tokens);
    }

    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// No call starts before this time.
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    fn accept_silent(&mut self, now: Instant) {
        let is_silent = |sent: Instant| now >= sent + SILENCE;
        while let Some(&(_, call)) = self.sent.first().filter(|(sent, _)| is_silent(*sent)) {
            self.accept(call);
        }
    }
}
