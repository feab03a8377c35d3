//! When the next call to an endpoint may start. No IO, no waiting and no clock: every question and
//! every piece of news comes with the time it is asked or told at.
//!
//! How many calls a server takes at once is found out by trying, as TCP does with a network:
//!
//! - A call is *proven* when something of an answer has come, or when no refusal has for so long
//!   that none is to be expected. Only so many unproven ones are out at once as have been proven
//!   before, and in all twice as many as were seen to be held at once: calls double until
//!   something is wrong, and then hardly more are wrong than are right. Where many wait, a few more
//!   may be wrong.
//! - A refusal (429, 529) closes the *window* to as many as were open without those that are refused,
//!   pauses the endpoint for as long as the server says, and has the ramp begin again with one call.
//! - What was refused together is one *episode*: it says the same once.
//! - The window opens again where it was fully used: by one, by more each time that goes well, and
//!   the more seldom the more often it does not.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::quota::Quota;
use crate::plan::RateLimits;

/// Calls that may be out before any has been proven, where the file does not say how many.
const FIRST_CALLS: usize = 16;
/// Of all that want to call, one in so many may be out as well.
const DARING: usize = 16;
/// A refusal comes at once, an answer takes its time: after this a call counts as taken.
const SILENCE: Duration = Duration::from_millis(250);
/// The pause after a refusal that names none; doubled with each episode that follows.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Windows full of answers between two attempts to open the window further.
const LONGEST_PATIENCE: usize = 32;

/// A call that has been started; they are numbered in order of their start.
pub type CallId = u64;

/// Whether a call may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Now,
    /// Ask again then, or when something has changed.
    At(Instant, Reason),
    /// When something has changed.
    Later,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The server has refused calls, and is left alone for a while.
    Pause,
    /// Requests or tokens per minute are used up.
    Quota,
    /// Earlier calls have not been proven.
    Ramp,
}

/// Everything that is known of one endpoint and key.
#[derive(Debug)]
pub struct State {
    most: usize,
    quota: Quota,
    open: BTreeSet<CallId>,
    /// The most that the server has been seen to hold at once.
    reached: usize,
    unproven: HashMap<CallId, Unproven>,
    /// Those that have been sent, the first one first.
    silent: BTreeSet<(Instant, CallId)>,
    /// Since the last episode began.
    proven: usize,
    first_calls: usize,
    next: CallId,
    paused_until: Option<Instant>,
    window: Window,
    /// The first call of which a refusal would be news.
    episode: CallId,
    /// Since the last answer.
    episodes: u32,
    answered: u64,
}

#[derive(Debug, Clone, Copy)]
struct Unproven {
    sent: Option<Instant>,
    /// Calls that were unproven when it was started, itself among them.
    among: usize,
}

impl State {
    pub fn new(limits: RateLimits) -> Self {
        Self {
            most: limits.max_concurrency.unwrap_or(usize::MAX),
            quota: Quota::new(limits),
            open: BTreeSet::new(),
            reached: 0,
            unproven: HashMap::new(),
            silent: BTreeSet::new(),
            proven: 0,
            // A file that says how many a server takes need not be proven right.
            first_calls: limits.max_concurrency.unwrap_or(FIRST_CALLS),
            next: 0,
            paused_until: None,
            window: Window::default(),
            episode: 0,
            episodes: 0,
            answered: 0,
        }
    }

    /// Whether a call that takes about so many tokens may start now, while so many wait.
    pub fn ask(&mut self, tokens: u64, waiting: usize, now: Instant) -> Answer {
        let wanted = self.open.len() + waiting;
        self.prove_old(now);
        if let Some(until) = self.paused_until.filter(|until| now < *until) {
            return Answer::At(until, Reason::Pause);
        }
        if self.open.len() >= self.most.min(self.window.size) {
            return Answer::Later;
        }
        let daring = if self.episode == 0 { wanted / DARING } else { 0 };
        let taken = self.open.len() - self.unproven.len();
        let doubled = (2 * self.reached).saturating_sub(taken);
        if self.unproven.len() >= self.proven.min(doubled).max(self.first_calls).max(daring) {
            let Some((sent, _)) = self.silent.first() else { return Answer::Later };
            return Answer::At(*sent + SILENCE, Reason::Ramp);
        }
        match self.quota.free_at(tokens, now) {
            Some(at) => Answer::At(at, Reason::Quota),
            None => Answer::Now,
        }
    }

    /// Starts a call, which [`Self::ask`] has allowed.
    pub fn start(&mut self, tokens: u64, now: Instant) -> CallId {
        let call = self.next;
        self.next += 1;
        self.open.insert(call);
        let among = self.unproven.len() + 1;
        self.unproven.insert(call, Unproven { sent: None, among });
        self.quota.take(call, tokens, now);
        call
    }

    /// The request has left: from now on its server may refuse it.
    pub fn sent(&mut self, call: CallId, now: Instant) {
        if let Some(Unproven { sent: sent @ None, .. }) = self.unproven.get_mut(&call) {
            *sent = Some(now);
            self.silent.insert((now, call));
        }
    }

    /// Something of an answer has come.
    pub fn prove(&mut self, call: CallId) {
        let Some(unproven) = self.forget(call) else { return };
        self.proven += 1;
        // With those before it that are still open; of later ones nothing is known. Where answers
        // are short, these are none, though many were sent.
        let is_news = self.open.len() > self.reached;
        let held = if is_news { self.open.range(..=call).count() } else { 0 };
        self.reached = self.reached.max(held).max(unproven.among);
    }

    /// What was known of a call that was unproven.
    fn forget(&mut self, call: CallId) -> Option<Unproven> {
        let unproven = self.unproven.remove(&call)?;
        if let Some(sent) = unproven.sent {
            self.silent.remove(&(sent, call));
        }
        Some(unproven)
    }

    /// The call has its answer.
    pub fn answer(&mut self, call: CallId) {
        self.prove(call);
        self.answered += 1;
        self.episodes = 0;
        self.window.answered(self.open.len());
        self.open.remove(&call);
    }

    /// The server takes no call now; it may have said for how long.
    pub fn refuse(&mut self, call: CallId, wait: Option<Duration>, now: Instant) {
        self.forget(call);
        if call >= self.episode {
            self.episode = self.next;
            self.episodes += 1;
            self.proven = 0;
            self.first_calls = 1;
            self.window.begin_episode(self.open.len());
        }
        self.open.remove(&call);
        self.window.refused(self.open.len());
        let again = self.episodes.saturating_sub(1);
        let own = FIRST_PAUSE.saturating_mul(1 << again.min(16)).min(LONGEST_PAUSE);
        // A server that is wrong about its own wait is not asked all the time.
        let wait = wait.map_or(own, |wait| if again > 0 { wait.max(own) } else { wait });
        self.paused_until = self.paused_until.max(Some(now + wait));
    }

    /// The call ended in a way that says nothing of the endpoint's limits.
    pub fn end(&mut self, call: CallId) {
        self.forget(call);
        self.open.remove(&call);
    }

    /// What a call took in place of what was thought.
    pub fn settle(&mut self, call: CallId, tokens: u64) {
        self.quota.settle(call, tokens);
    }

    /// Answers so far.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Nothing starts before.
    pub fn paused_until(&self) -> Option<Instant> {
        self.paused_until
    }

    fn prove_old(&mut self, now: Instant) {
        let is_taken = |sent: Instant| now >= sent + SILENCE;
        while let Some(&(_, call)) = self.silent.first().filter(|(sent, _)| is_taken(*sent)) {
            self.prove(call);
        }
    }
}

/// How many calls the server seems to take at once.
#[derive(Debug)]
struct Window {
    size: usize,
    /// Of the calls that were open when this episode began, those that have not been refused.
    taken: usize,
    /// Answers to a full window since it was opened last.
    credit: usize,
    /// Full windows of answers before it is opened again.
    patience: usize,
    /// By how much.
    step: usize,
    /// It has been opened and nothing was refused since.
    trying: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: usize::MAX, taken: 0, credit: 0, patience: 1, step: 1, trying: false }
    }
}

impl Window {
    fn begin_episode(&mut self, open: usize) {
        self.taken = open;
        if self.trying {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
        (self.trying, self.step, self.credit) = (false, 1, 0);
    }

    /// Of the calls that were taken, some may have been answered before this one came, and some
    /// between: the server takes at least half as many, and at most as many.
    fn refused(&mut self, open: usize) {
        self.taken = self.taken.saturating_sub(1);
        self.size = self.size.min(open.max(self.taken / 2).max(1));
    }

    fn answered(&mut self, open: usize) {
        if open < self.size {
            return;
        }
        self.credit += 1;
        if self.credit < self.size.saturating_mul(self.patience) {
            return;
        }
        if self.trying {
            self.patience = (self.patience / 2).max(1);
            self.step = self.step.saturating_mul(2);
        }
        self.size = self.size.saturating_add(self.step);
        (self.trying, self.credit) = (true, 0);
    }
}
