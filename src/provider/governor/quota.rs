//! Requests and tokens per minute: the calls of the last minute, and when there is room for
//! another. Exact for every window of 60 seconds, not only for those of the clock.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::RateLimits;

/// A started call. Numbered in order of their start.
pub type CallId = u64;

const MINUTE: Duration = Duration::from_secs(60);

/// No call counts for longer.
const MAX_SPAN: Duration = Duration::from_hours(24);

/// Holds the calls of one period, or nothing if there is no limit.
#[derive(Debug)]
pub struct Quota {
    requests: usize,
    tokens: u64,
    /// A minute, but for a share.
    period: Duration,
    /// A share may be less than one call needs, which then counts for as many periods.
    is_share: bool,
    used: u64,
    recent: VecDeque<Entry>,
}

#[derive(Debug)]
struct Entry {
    call: CallId,
    started: Instant,
    /// Until then it counts.
    until: Instant,
    tokens: u64,
}

impl Quota {
    pub fn new(limits: RateLimits) -> Self {
        Self {
            requests: limits.requests_per_minute.unwrap_or(usize::MAX),
            tokens: limits.tokens_per_minute.unwrap_or(u64::MAX),
            period: limits.period.unwrap_or(MINUTE),
            is_share: limits.period.is_some(),
            used: 0,
            recent: VecDeque::new(),
        }
    }

    /// When there is room for a call of this many tokens; `None`: now. A call beyond the limit gets
    /// a period of its own.
    pub fn free_at(&mut self, tokens: u64, now: Instant) -> Option<Instant> {
        while let Some(first) = self.recent.front()
            && now >= first.until
        {
            self.used = self.used.saturating_sub(first.tokens);
            self.recent.pop_front();
        }
        let (mut count, mut used) = (self.recent.len(), self.used);
        let mut free_at = None;
        let mut leaving = self.recent.iter();
        while count > 0 && (count >= self.requests || used.saturating_add(tokens) > self.tokens) {
            let entry = leaving.next()?;
            count -= 1;
            used = used.saturating_sub(entry.tokens);
            free_at = Some(entry.until);
        }
        free_at
    }

    pub fn take(&mut self, call: CallId, tokens: u64, now: Instant) {
        if self.requests < usize::MAX || self.tokens < u64::MAX {
            self.used = self.used.saturating_add(tokens);
            let until = now + self.span(tokens);
            self.recent.push_back(Entry { call, started: now, until, tokens });
        }
    }

    pub fn settle(&mut self, call: CallId, tokens: u64) {
        let span = self.span(tokens);
        let found = self.recent.binary_search_by_key(&call, |entry| entry.call);
        if let Some(entry) = found.ok().and_then(|at| self.recent.get_mut(at)) {
            self.used = self.used.saturating_sub(entry.tokens).saturating_add(tokens);
            entry.tokens = tokens;
            entry.until = entry.started + span;
        }
    }

    /// How long a call of so many tokens counts.
    fn span(&self, tokens: u64) -> Duration {
        let periods = if self.is_share { tokens.div_ceil(self.tokens.max(1)).max(1) } else { 1 };
        self.period.saturating_mul(u32::try_from(periods).unwrap_or(u32::MAX)).min(MAX_SPAN)
    }
}
