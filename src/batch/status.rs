//! What has become of the inputs of a batch, over all parts that are here.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::results::{ErrorHead, LineHead, ResultsReader};
use super::state::now_ms;
use super::survey::{PartFiles, Survey, SurveyError};
use crate::report::{RunStatus, Usage};
use crate::text::truncate;

/// The version of the JSON. It only grows.
const SCHEMA_VERSION: u32 = 1;
/// Errors that are listed.
const MAX_ERRORS: usize = 10;
/// Different errors that are counted.
const MAX_GROUPS: usize = 2000;
/// Characters of a message that are compared and shown.
const MAX_MESSAGE: usize = 200;
const MINUTE: f64 = 60_000.0;

#[derive(Debug, Serialize)]
pub struct BatchStatus {
    pub schema_version: u32,
    pub crew: String,
    /// What is left and whether a process works on it.
    pub state: BatchState,
    /// All inputs, repeated ones included; `None` until a process has read them to their end.
    pub inputs: Option<u64>,
    /// The lines that there will be, as far as known: repeated inputs have none.
    pub keys: Option<u64>,
    /// Inputs that have ended by themselves.
    pub done: u64,
    pub left: Option<u64>,
    /// Lines by status.
    pub statuses: BTreeMap<&'static str, u64>,
    /// Lines that did not succeed, by error kind.
    pub error_kinds: BTreeMap<String, u64>,
    /// All that was spent, runs that were repeated included.
    pub usage: Usage,
    /// Inputs, of the processes that work now.
    pub rate_per_minute: Option<f64>,
    /// At this rate.
    pub left_ms: Option<u64>,
    /// The most frequent ones.
    pub errors: Vec<FrequentError>,
    pub parts: PartsStatus,
    /// What is wrong with the files, a sentence each.
    pub faults: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchState {
    Running,
    /// Every input has a line, and none was cancelled.
    Finished,
    /// No process works on it, and inputs are left.
    Stopped,
}

#[derive(Debug, Serialize)]
pub struct FrequentError {
    pub kind: String,
    /// Of the first one. Messages that differ in numbers only count as one.
    pub message: String,
    pub count: u64,
    /// An input that ended like this.
    pub key: String,
}

/// The numbers of the parts.
#[derive(Debug, Default, Serialize)]
pub struct PartsStatus {
    pub of: u32,
    pub finished: Vec<u32>,
    pub running: Vec<u32>,
    pub stopped: Vec<u32>,
    /// They have no results.
    pub missing: Vec<u32>,
}

impl BatchStatus {
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn of(folder: &Path) -> Result<Self, SurveyError> {
        let survey = Survey::of(folder)?;
        let mut count = Count::default();
        let mut parts = PartsStatus { of: survey.run.parts.partitions, ..PartsStatus::default() };
        let mut faults = survey.faults();
        for files in &survey.parts {
            let part = count.part(files)?;
            if !part.is_own {
                faults.push(files.wrong_keys());
            }
            let list = match files.state.keys {
                _ if files.is_running => &mut parts.running,
                Some(keys) if part.done >= keys => &mut parts.finished,
                _ => &mut parts.stopped,
            };
            list.push(files.part.number);
        }
        parts.missing = survey.missing.iter().map(|part| part.number).collect();
        Ok(count.finish(&survey, parts, faults))
    }
}

/// The lines of one part.
struct PartCount {
    done: u64,
    /// Whether all keys belong to it.
    is_own: bool,
}

#[derive(Default)]
struct Count {
    done: u64,
    statuses: BTreeMap<&'static str, u64>,
    error_kinds: BTreeMap<String, u64>,
    usage: Usage,
    errors: HashMap<(String, String), FrequentError>,
    rate: f64,
}

impl Count {
    fn part(&mut self, files: &PartFiles) -> Result<PartCount, SurveyError> {
        let mut count = PartCount { done: 0, is_own: true };
        let mut lines = 0;
        self.usage += files.state.spent;
        let Some(mut results) = ResultsReader::open(&files.results)? else { return Ok(count) };
        while let Some(head) = results.next::<LineHead<'_>>()? {
            lines += 1;
            count.done += u64::from(head.status != RunStatus::Cancelled);
            count.is_own &= files.part.has_key(&head.key);
            self.line(&head);
        }
        self.done += count.done;
        let work = files.state.work.as_ref().filter(|_| files.is_running);
        self.rate +=
            work.and_then(|work| work.rate_per_minute(lines, now_ms())).unwrap_or_default();
        Ok(count)
    }

    fn line(&mut self, head: &LineHead<'_>) {
        *self.statuses.entry(name(head.status)).or_default() += 1;
        self.usage += head.usage;
        let Some(ErrorHead { kind, message }) = &head.error else { return };
        *self.error_kinds.entry(kind.clone().into_owned()).or_default() += 1;
        let shown = truncate(message.clone().into_owned(), MAX_MESSAGE);
        let group = (kind.clone().into_owned(), without_numbers(&shown));
        if self.errors.len() < MAX_GROUPS || self.errors.contains_key(&group) {
            let first = FrequentError {
                kind: group.0.clone(),
                message: shown.clone(),
                count: 0,
                key: head.key.clone().into_owned(),
            };
            self.errors.entry(group).or_insert(first).count += 1;
        }
    }

    fn finish(self, survey: &Survey, parts: PartsStatus, faults: Vec<String>) -> BatchStatus {
        let inputs = survey.inputs();
        let known = survey.parts.iter().map(|files| files.state.keys);
        let keys = known.sum::<Option<u64>>().filter(|_| parts.missing.is_empty());
        let left = keys.or(inputs).map(|all| all.saturating_sub(self.done));
        let state = match left {
            _ if !parts.running.is_empty() => BatchState::Running,
            Some(0) if parts.stopped.is_empty() && parts.missing.is_empty() => BatchState::Finished,
            _ => BatchState::Stopped,
        };
        let rate = (self.rate > 0.0).then_some(self.rate);
        let left_ms = rate.zip(left).map(|(rate, left)| (left as f64 / rate * MINUTE) as u64);
        let mut errors: Vec<FrequentError> = self.errors.into_values().collect();
        errors.sort_by(|one, other| {
            (other.count, &one.kind, &one.message).cmp(&(one.count, &other.kind, &other.message))
        });
        errors.truncate(MAX_ERRORS);
        BatchStatus {
            schema_version: SCHEMA_VERSION,
            crew: survey.run.crew.clone(),
            state,
            inputs,
            keys,
            done: self.done,
            left,
            statuses: self.statuses,
            error_kinds: self.error_kinds,
            usage: self.usage,
            rate_per_minute: rate,
            left_ms,
            errors,
            parts,
            faults,
        }
    }
}

fn name(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Succeeded => "succeeded",
        RunStatus::Failed => "failed",
        RunStatus::TimedOut => "timed_out",
        RunStatus::Cancelled => "cancelled",
        RunStatus::Invalid => "invalid",
    }
}

/// A message with one mark for each number, so that those of different inputs are alike.
fn without_numbers(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for c in message.chars() {
        match c.is_ascii_digit() {
            true if text.ends_with('#') => {}
            true => text.push('#'),
            false => text.push(c),
        }
    }
    text
}
