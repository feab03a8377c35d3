//! The number of concurrent calls that a server seems to accept.

/// The largest number of full windows of answers between two attempts to widen the window.
const MAX_PATIENCE: usize = 32;

#[derive(Debug)]
pub struct Window {
    size: usize,
    /// The calls that were open when this episode began, without the rejected ones.
    accepted: usize,
    /// Answers to a full window since it was last widened.
    credit: usize,
    /// The number of full windows of answers before it is widened again.
    patience: usize,
    /// The increment when it is widened.
    step: usize,
    /// It was widened, and nothing has been rejected since.
    is_widened: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self { size: usize::MAX, accepted: 0, credit: 0, patience: 1, step: 1, is_widened: false }
    }
}

impl Window {
    pub fn size(&self) -> usize {
        self.size
    }

    /// Notes the first rejection of an episode, with this many open calls.
    pub fn begin_episode(&mut self, open: usize) {
        self.accepted = open;
        if self.is_widened {
            self.patience = (self.patience * 2).min(MAX_PATIENCE);
        }
        self.is_widened = false;
        self.step = 1;
        self.credit = 0;
    }

    /// Notes each rejection, with this many calls still open. Some of the accepted calls may have
    /// been answered before this call arrived, so the server accepts at least half as many, and at
    /// most as many.
    pub fn reject(&mut self, open: usize) {
        self.accepted = self.accepted.saturating_sub(1);
        self.size = self.size.min(open.max(self.accepted / 2).max(1));
    }

    /// Notes an answer, with this many open calls.
    pub fn answer(&mut self, open: usize) {
        if open < self.size {
            return;
        }
        self.credit += 1;
        if self.credit < self.size.saturating_mul(self.patience) {
            return;
        }
        if self.is_widened {
            self.patience = (self.patience / 2).max(1);
            self.step = self.step.saturating_mul(2);
        }
        self.size = self.size.saturating_add(self.step);
        self.is_widened = true;
        self.credit = 0;
    }
}
