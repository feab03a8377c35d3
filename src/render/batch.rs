//! How far a batch is.

use std::time::Duration;

use super::Look;
use super::words;
use crate::batch::tally::Tally;

const BAR_WIDTH: u64 = 20;

/// The numbers of a batch that runs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Progress {
    pub tally: Tally,
    /// Inputs that have a result from before.
    pub before: u64,
    /// An estimate of the inputs that are left; `None` if it is not known.
    pub left: Option<u64>,
    pub elapsed: Duration,
}

impl Progress {
    fn done(&self) -> u64 {
        self.before + self.tally.done()
    }

    /// Inputs a second.
    fn rate(&self) -> f64 {
        self.tally.done() as f64 / self.elapsed.as_secs_f64().max(0.001)
    }

    fn time_left(&self) -> Option<Duration> {
        let rate = self.rate();
        let seconds = self.left.filter(|_| rate > 0.0)? as f64 / rate;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// One line: done, failed, rate, tokens, cost and time left.
pub fn progress_line(progress: &Progress) -> String {
    let Tally { failed, usage, .. } = progress.tally;
    let mut parts = vec![match progress.left {
        Some(left) => format!("{} of about {} done", progress.done(), progress.done() + left),
        None => format!("{} done", progress.done()),
    }];
    parts.push(format!("{failed} failed"));
    parts.push(format!("{:.1}/s", progress.rate()));
    parts.extend(words::tokens(&usage));
    parts.extend(words::cost(usage.cost));
    parts.extend(progress.time_left().map(|left| format!("{} left", words::duration(left))));
    parts.join(" · ")
}

/// The same behind a bar, cut to the width of the terminal.
pub fn progress_bar(progress: &Progress, look: Look) -> String {
    let line = progress_line(progress);
    let Some(left) = progress.left else { return cut(line, look) };
    let done = progress.done();
    let filled = BAR_WIDTH * done / (done + left).max(1);
    let (full, empty) = if look.reader.ascii { ("#", "-") } else { ("█", "░") };
    let bar = full.repeat(filled as usize) + &empty.repeat((BAR_WIDTH - filled) as usize);
    cut(format!("{bar} {line}"), look)
}

fn cut(line: String, look: Look) -> String {
    line.chars().take(look.width.saturating_sub(1)).collect()
}
