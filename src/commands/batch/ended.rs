//! The end of a batch: its exit status and its summary.

use crate::batch::estimate::Estimate;
use crate::batch::folder::Found;
use crate::batch::sink::{Kept, Untaken};
use crate::batch::stop::Stop;
use crate::batch::tally::Tally;
use crate::batch::window::Outcome;
use crate::cancel::Cancellation;
use crate::exit::ExitStatus;
use crate::render::words;
use crate::report::Cleanup;
use crate::telemetry::NotSent;
use crate::text;

/// A batch that has ended.
pub struct Ended {
    pub tally: Tally,
    /// The results of earlier processes.
    pub found: Found,
    pub outcome: Outcome,
    pub cleanup: Cleanup,
    /// Lines that standard output has not taken.
    pub untaken: Option<Untaken>,
    /// Why the recording is not whole.
    pub unrecorded: Option<String>,
    pub estimate: Option<Estimate>,
    /// Why spans were not sent.
    pub unsent: Option<NotSent>,
}

impl Ended {
    pub fn status(&self, cancel: &Cancellation) -> ExitStatus {
        let signal = cancel.signal();
        let has_failed = self.tally.failed + self.tally.cancelled + self.found.failed > 0;
        match (&self.outcome.stop, signal) {
            _ if !self.cleanup.survivors.is_empty() => ExitStatus::Survivors,
            (Some(Stop::Write(_)), _) => ExitStatus::Unreported,
            (Some(_), Some(signal)) => ExitStatus::Signalled(signal),
            _ if self.untaken.is_some() || self.unrecorded.is_some() => ExitStatus::Unreported,
            // Without a signal, the reader of standard output has cancelled it.
            (Some(Stop::Cancelled), None) => ExitStatus::Unreported,
            (Some(Stop::Drained), None) => ExitStatus::Drained,
            (Some(_), None) => ExitStatus::Failure,
            (None, _) if has_failed => ExitStatus::Failure,
            (None, _) => ExitStatus::Success,
        }
    }

    /// What people read at the end. `errors_only`: without the numbers.
    pub fn summary(&self, errors_only: bool) -> String {
        let mut lines = Vec::new();
        lines.extend(self.outcome.stop.as_ref().and_then(|stop| match stop {
            Stop::Drained | Stop::Cancelled => Some(stop.to_string()),
            // The next line says it.
            Stop::Write(_) if self.untaken.is_some() => None,
            stop => Some(format!("error: {stop}")),
        }));
        lines.extend(self.untaken.as_ref().map(|untaken| {
            format!("error: could not write all results to standard output: {untaken}")
        }));
        lines.extend(self.outcome.kept.as_ref().and_then(kept));
        lines.extend(self.unrecorded.as_ref().map(|why| format!("error: {why}")));
        for survivor in &self.cleanup.survivors {
            let command = &survivor.command;
            lines.push(format!("error: process {} could not be killed: {command}", survivor.pid));
        }
        if !errors_only || self.tally.failed + self.found.failed > 0 {
            lines.push(self.numbers());
        }
        if !errors_only {
            let invalid = self.outcome.totals.and_then(|totals| totals.first_invalid);
            lines.extend(invalid.map(|line| {
                format!(
                    "note: the inputs are not valid UTF-8; invalid bytes were replaced, the first \
                     in line {line}"
                )
            }));
            lines.extend(self.unsent.as_ref().map(|why| format!("note: {why}")));
        }
        let lines = lines.iter().map(|line| format!("{}\n", text::inline(line)));
        lines.collect()
    }

    fn numbers(&self) -> String {
        let Tally { succeeded, failed, cancelled, usage } = self.tally;
        let all = succeeded + self.found.succeeded;
        let mut parts = vec![words::count(all, "input succeeded", "inputs succeeded")];
        parts.push(format!("{} failed", failed + self.found.failed));
        if cancelled > 0 {
            parts.push(format!("{cancelled} cancelled"));
        }
        parts.extend(words::tokens(&usage));
        parts.extend(words::cost(usage.cost));
        parts.join(" · ")
    }
}

fn kept(kept: &Kept) -> Option<String> {
    let results = |count| words::count(count, "result was", "results were");
    let lost = (kept.lost > 0).then(|| format!("{} lost", results(kept.lost)));
    let kept =
        kept.path().map(|path| format!("{} kept in {}", results(kept.lines), path.display()));
    match (kept, lost) {
        (Some(kept), Some(lost)) => Some(format!("error: {kept}; {lost}")),
        (one, other) => one.or(other).map(|what| format!("error: {what}")),
    }
}
