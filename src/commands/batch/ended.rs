//! The end of a batch: its exit status and its summary.

use std::io;

use crate::batch::estimate::Estimate;
use crate::batch::folder::Found;
use crate::batch::sink::Kept;
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
    /// Whether standard output has taken all lines.
    pub written: io::Result<()>,
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
            _ if self.written.is_err() => ExitStatus::Unreported,
            (Some(Stop::Drained), None) => ExitStatus::Drained,
            (Some(_), None) => ExitStatus::Failure,
            (None, _) if has_failed => ExitStatus::Failure,
            (None, _) => ExitStatus::Success,
        }
    }

    /// What people read at the end. `errors_only`: without the numbers.
    pub fn summary(&self, errors_only: bool) -> String {
        let mut lines = Vec::new();
        lines.extend(self.outcome.stop.as_ref().map(|stop| match stop {
            Stop::Drained | Stop::Cancelled => stop.to_string(),
            stop => format!("error: {stop}"),
        }));
        lines.extend(self.written.as_ref().err().map(|error| {
            format!("error: could not write all results to standard output: {error}")
        }));
        lines.extend(self.outcome.kept.as_ref().map(kept));
        for survivor in &self.cleanup.survivors {
            let command = &survivor.command;
            lines.push(format!("error: process {} could not be killed: {command}", survivor.pid));
        }
        if !errors_only || self.tally.failed + self.found.failed > 0 {
            lines.push(self.numbers());
        }
        if !errors_only {
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

fn kept(kept: &Kept) -> String {
    let lost = match kept.lost {
        0 => String::new(),
        lost => format!("; {} lost", words::count(lost, "result was", "results were")),
    };
    match kept.path() {
        Some(path) => {
            let results = words::count(kept.lines, "result was", "results were");
            format!("error: {results} kept in {}{lost}", path.display())
        }
        None => format!("error: the disk is full{lost}"),
    }
}
