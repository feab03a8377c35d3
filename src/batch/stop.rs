//! When a batch stops before the end of its inputs.

use std::io;
use std::str::FromStr;

use super::line::{INPUT, Line};
use super::run_file::FileError;
use super::tally::Tally;
use crate::report::RunStatus;

/// If this many inputs fail alike before any ends otherwise, the others would as well.
const HOPELESS: u64 = 20;
/// A percentage of fewer inputs says little.
const MIN_DONE: u64 = 20;

/// Why no further input starts.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("{0}")]
    Write(#[from] FileError),
    #[error("cannot read the inputs any further: {0}")]
    Read(#[from] io::Error),
    #[error("stopped; the same command continues")]
    Cancelled,
    #[error("stopped on request, with work left; the same command continues")]
    Drained,
    #[error("stopped: {failed} of {done} inputs have failed (--max-failures)")]
    MaxFailures { failed: u64, done: u64 },
    #[error("stopped: the first {HOPELESS} inputs all failed with {kind}: {message}")]
    Hopeless { kind: String, message: String },
    #[error("stopped: no input can succeed: {message}")]
    Refused { message: String },
    #[error("stopped: {0}")]
    Budget(String),
}

/// The value of `--max-failures`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MaxFailures {
    Count(u64),
    Percent(f64),
}

impl FromStr for MaxFailures {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "expected a whole number of 1 or more, or a percentage such as 5%";
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Self::Percent(percent)),
                _ => Err(wrong),
            },
            None => match text.parse() {
                Ok(count @ 1..) => Ok(Self::Count(count)),
                _ => Err(wrong),
            },
        }
    }
}

/// An input that has ended.
#[derive(Debug)]
pub struct Done {
    pub line: Line,
    /// Its key was refused, or its account's credit is used up: no other input would do better.
    pub is_refused: bool,
    /// Why its full report could not be kept.
    pub unreported: Option<FileError>,
}

impl Done {
    /// An input that has not run.
    pub fn of(line: Line) -> Self {
        Self { line, is_refused: false, unreported: None }
    }
}

/// Watches how inputs end.
#[derive(Debug, Default)]
pub struct Watch {
    max_failures: Option<MaxFailures>,
    alike: Alike,
}

/// Whether all inputs so far have failed with the same `error.kind`.
#[derive(Debug)]
struct Alike {
    kind: Option<String>,
    ended: u64,
    /// `false` once one has ended otherwise.
    holds: bool,
}

impl Default for Alike {
    fn default() -> Self {
        Self { kind: None, ended: 0, holds: true }
    }
}

impl Watch {
    pub fn new(max_failures: Option<MaxFailures>) -> Self {
        Self { max_failures, ..Self::default() }
    }

    /// Notes an input that has ended, which `tally` counts already. Returns a reason to stop.
    pub fn note(&mut self, done: &Done, tally: &Tally) -> Option<Stop> {
        let Done { line, is_refused, .. } = done;
        let message = line.error.as_ref().map(|error| error.message.clone()).unwrap_or_default();
        if *is_refused {
            return Some(Stop::Refused { message });
        }
        let (failed, done) = (tally.failed, tally.done());
        let is_over = match self.max_failures {
            None => false,
            Some(MaxFailures::Count(most)) => failed >= most,
            Some(MaxFailures::Percent(most)) => {
                done >= MIN_DONE && failed as f64 * 100.0 > most * done as f64
            }
        };
        if is_over {
            return Some(Stop::MaxFailures { failed, done });
        }
        let kind = self.alike.note(line)?;
        Some(Stop::Hopeless { kind, message })
    }
}

impl Alike {
    /// The kind of error that all of the first inputs failed with, once there are enough.
    fn note(&mut self, line: &Line) -> Option<String> {
        let kind = line.error.as_ref().map(|error| error.kind.as_str());
        // A bad input costs nothing and says nothing about the others; a cancelled one did not end.
        if !self.holds || kind == Some(INPUT) || line.status == RunStatus::Cancelled {
            return None;
        }
        self.ended += 1;
        match (kind, &self.kind) {
            (Some(kind), None) => self.kind = Some(kind.to_owned()),
            (Some(kind), Some(known)) if kind == known => {}
            _ => self.holds = false,
        }
        self.kind.clone().filter(|_| self.holds && self.ended == HOPELESS)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::batch::line::LineError;

    fn ended(kind: Option<&str>) -> Done {
        let mut line = Line::unusable(String::new(), 0, String::new());
        line.error = kind.map(|kind| LineError { kind: kind.to_owned(), message: "m".to_owned() });
        if kind.is_none() {
            line.status = RunStatus::Succeeded;
        }
        Done::of(line)
    }

    /// After how many of these ends the batch stops.
    fn stops(
        watch: &mut Watch,
        ends: impl IntoIterator<Item = Option<&'static str>>,
    ) -> Option<u64> {
        let mut tally = Tally::default();
        for (at, end) in (1..).zip(ends) {
            let done = ended(end);
            tally.add(&done.line);
            if watch.note(&done, &tally).is_some() {
                return Some(at);
            }
        }
        None
    }

    #[test]
    fn a_hopeless_start_is_twenty_equal_failures() {
        let alike = [Some("network"); 30];
        assert_eq!(stops(&mut Watch::default(), alike), Some(20));
        let bad = [Some(INPUT); 30];
        assert_eq!(stops(&mut Watch::default(), bad), None);
        assert_eq!(stops(&mut Watch::default(), bad.into_iter().chain(alike)), Some(50));
        assert_eq!(stops(&mut Watch::default(), [None].into_iter().chain(alike)), None);
        let other = [Some("step")].into_iter().chain(alike);
        assert_eq!(stops(&mut Watch::default(), other), None);
    }

    #[test]
    fn failures_are_counted_or_compared() {
        let after = |max: &str, ends: Vec<Option<&'static str>>| {
            let mut watch = Watch::new(Some(max.parse().unwrap()));
            stops(&mut watch, ends)
        };
        let mixed =
            |count| [None, Some("step"), None, Some("tool")].into_iter().cycle().take(count);
        assert_eq!(after("2", mixed(40).collect()), Some(4));
        assert_eq!(after("49%", mixed(40).collect()), Some(20));
        assert_eq!(after("50%", mixed(40).collect()), None);
        for wrong in ["0", "-1", "x", "100%", "-5%", "%", "1.5"] {
            assert!(wrong.parse::<MaxFailures>().is_err(), "{wrong}");
        }
    }
}
