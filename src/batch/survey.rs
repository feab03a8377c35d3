//! The parts of a batch's folder, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::part::Part;
use super::run_file::{self, FileError, RunFile};
use super::state::PartState;

/// Numbers, or ranges of them, that a message names.
const MAX_NAMED: usize = 10;

/// The files of a batch, over all parts that are here.
#[derive(Debug)]
pub struct Survey {
    pub run: RunFile,
    /// Those that have a results file.
    pub parts: Vec<PartFiles>,
    /// Those that have none.
    pub missing: Vec<Part>,
    /// Files beside these that look like results.
    pub stray: Vec<Stray>,
}

#[derive(Debug)]
pub struct PartFiles {
    pub part: Part,
    pub results: PathBuf,
    pub state: PartState,
    /// A process works on it.
    pub is_running: bool,
}

/// A file that looks like results but does not belong to a part of this batch.
#[derive(Debug, PartialEq, Eq)]
pub struct Stray {
    name: String,
    /// The number of parts that its name claims.
    of: Option<u32>,
}

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{} has no {}: it is no folder of crew batch", .0.display(), run_file::NAME)]
    NoRunFile(PathBuf),
}

impl Survey {
    /// # Errors
    /// The folder or a file in it cannot be read.
    pub fn of(folder: &Path) -> Result<Self, SurveyError> {
        let entries = fs::read_dir(folder).map_err(|error| FileError::read(folder, error))?;
        let run = RunFile::read(folder)?;
        let run = run.ok_or_else(|| SurveyError::NoRunFile(folder.to_owned()))?;
        let (mut found, mut stray) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            let entry = entry.map_err(|error| FileError::read(folder, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            match Part::of_results(&name) {
                Some(part) if part.of == run.parts.partitions => {
                    found.insert(part.number, PartFiles::of(folder, part)?);
                }
                Some(part) => stray.push(Stray { name, of: Some(part.of) }),
                None if is_like_results(&name) => stray.push(Stray { name, of: None }),
                None => {}
            }
        }
        stray.sort_by(|one, other| one.name.cmp(&other.name));
        let missing =
            Part::all(run.parts.partitions).filter(|part| !found.contains_key(&part.number));
        Ok(Self { missing: missing.collect(), run, parts: found.into_values().collect(), stray })
    }

    /// All inputs of the batch, as far as a process has read them to their end.
    pub fn inputs(&self) -> Option<u64> {
        self.parts.iter().filter_map(|files| files.state.inputs).max()
    }

    /// What is wrong with the files of the folder, a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let of = self.run.parts.partitions;
        let fault = |stray: &Stray| match stray.of {
            Some(1) => format!("{} is of a batch in one part, and this one has {of}", stray.name),
            Some(other) => {
                format!("{} is of a batch in {other} parts, and this one has {of}", stray.name)
            }
            None => format!("{} is none of the parts: is one of them here twice?", stray.name),
        };
        self.stray.iter().map(fault).collect()
    }
}

impl PartFiles {
    fn of(folder: &Path, part: Part) -> Result<Self, FileError> {
        let state = PartState::read(&part.state(folder))?;
        let is_running = is_locked(&part.lock(folder))
            .unwrap_or_else(|| state.work.as_ref().is_some_and(|work| work.ended_ms.is_none()));
        Ok(Self { part, results: part.results(folder), state, is_running })
    }

    /// What to say of it if it has keys of another part.
    pub fn wrong_keys(&self) -> String {
        let name = self.results.display();
        format!("{name} has inputs of another part: is it a copy of that part's file?")
    }
}

/// Such as `part-1-of-8 (1).jsonl` or `results.jsonl.bak`.
fn is_like_results(name: &str) -> bool {
    let is_part = name.starts_with("part-") || name.starts_with("results");
    is_part && name.contains(".jsonl")
}

/// Whether a process has locked the file; `None` where locks do not work.
fn is_locked(path: &Path) -> Option<bool> {
    // Shared, and for a moment only. A process that wants the lock then tries again.
    match File::open(path).ok()?.try_lock_shared() {
        Ok(()) => Some(false),
        Err(TryLockError::WouldBlock) => Some(true),
        Err(TryLockError::Error(_)) => None,
    }
}

/// `3, 5 to 8 and 2 more`, from ascending numbers.
pub struct Ranges<I>(pub I);

impl<I: Iterator<Item = (u64, u64)> + Clone> fmt::Display for Ranges<I> {
    /// Each item is the first and the last number of a range.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.0.clone().take(MAX_NAMED).enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match last - first {
                0 => write!(formatter, "{comma}{first}")?,
                _ => write!(formatter, "{comma}{first} to {last}")?,
            }
        }
        match self.0.clone().skip(MAX_NAMED).map(|(first, last)| last - first + 1).sum() {
            0_u64 => Ok(()),
            more => write!(formatter, " and {more} more"),
        }
    }
}

/// Ascending numbers as ranges.
pub fn ranges(numbers: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}
