//! Requests and tokens per minute: the calls of the last minute, and when there is room for
//! another. Exact for every window of 60 seconds, not only for those of the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::RateLimits;

/// A started call. Numbered in order of their start.
pub type CallId = u64;

const MINUTE: Duration = Duration::from_secs(60);

/// Holds the calls of one minute, or nothing if there is no limit.
#[derive(Debug)]
pub struct Quota {
    requests: usize,
    tokens: u64,
    used: u64,
    last_minute: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    call: CallId,
    started: Instant,
    tokens: u64,
}

impl Quota {
    pub fn new(limits: RateLimits) -> Self {
        Self {
            requests: limits.requests_per_minute.unwrap_or(usize::MAX),
            tokens: limits.tokens_per_minute.unwrap_or(u64::MAX),
            used: 0,
            last_minute: VecDeque::new(),
        }
    }

    /// When there is room for a call of this many tokens; `None`: now. A call beyond the limit gets
    /// a minute of its own.
    pub fn free_at(&mut self, tokens: u64, now: Instant) -> Option<Instant> {
        while let Some(first) = self.last_minute.front()
            && now >= first.started + MINUTE
        {
            self.used = self.used.saturating_sub(first.tokens);
            self.last_minute.pop_front();
        }
        let (mut count, mut used) = (self.last_minute.len(), self.used);
        let mut free_at = None;
        let mut leaving = self.last_minute.iter();
        while count > 0 && (count >= self.requests || used.saturating_add(tokens) > self.tokens) {
            let entry = leaving.next()?;
            count -= 1;
            used = used.saturating_sub(entry.tokens);
            free_at = Some(entry.started + MINUTE);
        }
        free_at
    }

    pub fn take(&mut self, call: CallId, tokens: u64, now: Instant) {
        if self.requests < usize::MAX || self.tokens < u64::MAX {
            self.used = self.used.saturating_add(tokens);
            self.last_minute.push_back(Entry { call, started: now, tokens });
        }
    }

    pub fn settle(&mut self, call: CallId, tokens: u64) {
        let found = self.last_minute.binary_search_by_key(&call, |entry| entry.call);
        if let Some(entry) = found.ok().and_then(|at| self.last_minute.get_mut(at)) {
            self.used = self.used.saturating_sub(entry.tokens).saturating_add(tokens);
            entry.tokens = tokens;
        }
    }
}
