//! The faults of a file, each with its place.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use super::place::{Inside, Mark, Path, Place};
use crate::report::{RunStatus, SCHEMA_VERSION};
use crate::text::truncate;

/// Without a maximum, a hostile file could make the report far larger than itself.
const MAX_FAULTS: usize = 200;
/// Comparisons in search of similar names, for all faults together.
const MAX_COMPARISONS: usize = 50_000;
/// Characters of a message, and of a hint.
const MAX_TEXT: usize = 1000;
/// Characters of a name that may be a typing error.
const MAX_NAME: usize = 64;

/// A fault of a crew's file, or of the command line (then without a place).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The key's path, such as `agents.disk.tools[0]`.
    pub path: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    pub message: String,
    /// Advice, such as `did you mean "disk_usage"?`.
    pub hint: Option<String>,
}

/// All faults, in the order of the file.
#[derive(Debug)]
pub struct Faults {
    pub file: Option<PathBuf>,
    /// The file's text for display, with asterisks in place of possible secrets.
    pub source: String,
    pub faults: Vec<Fault>,
}

impl Faults {
    /// A single fault without a place.
    pub fn unplaced(file: Option<PathBuf>, message: String, hint: Option<String>) -> Self {
        let fault = Fault { path: None, line: None, column: None, message, hint };
        Self { file, source: String::new(), faults: vec![fault] }
    }
}

/// The JSON document in place of a report if nothing ran.
#[derive(Debug, Clone, Serialize)]
pub struct InvalidReport {
    pub schema_version: u32,
    pub status: RunStatus,
    pub exit_code: u8,
    pub errors: Vec<Fault>,
}

impl From<&Faults> for InvalidReport {
    fn from(faults: &Faults) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            status: RunStatus::Invalid,
            exit_code: 2,
            errors: faults.faults.clone(),
        }
    }
}

/// Collects faults while the file is read and checked.
#[derive(Debug)]
pub struct FaultLog {
    source: String,
    root: Mark,
    faults: RefCell<Vec<Fault>>,
    left_out: Cell<usize>,
    comparisons: Cell<usize>,
    /// The paths of values that cannot be read. Later faults at these paths are dropped.
    broken: RefCell<HashSet<String>>,
    secrets: RefCell<Vec<Range<usize>>>,
}

impl Default for FaultLog {
    fn default() -> Self {
        let start = Place { line: 1, column: 1 };
        let root = Mark {
            key: None,
            value: start,
            prefer_key: false,
            bytes: None,
            inside: Inside::Nothing,
        };
        Self {
            source: String::new(),
            root,
            faults: RefCell::default(),
            left_out: Cell::new(0),
            comparisons: Cell::new(0),
            broken: RefCell::default(),
            secrets: RefCell::default(),
        }
    }
}

impl FaultLog {
    /// Sets the places of the file's values.
    pub fn set_marks(&mut self, root: Mark, source: &str) {
        self.root = root;
        source.clone_into(&mut self.source);
    }

    /// Logs a fault of a value.
    pub fn value(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        let (mark, exact) = self.root.find(path);
        let place = if exact { mark.value_place() } else { mark.key_place() };
        self.add(path, place, message.into(), hint);
    }

    /// Logs a fault of one word of a text. Its place is the word's in the value as written.
    pub fn word(&self, path: &Path<'_>, word: &str, message: String, hint: Option<String>) {
        if self.is_full() {
            return self.left_out.set(self.left_out.get() + 1);
        }
        let (mark, exact) = self.root.find(path);
        let place = if exact { mark.value_place() } else { mark.key_place() };
        let place = self.find_word(mark, word).unwrap_or(place);
        self.add(path, place, message, hint);
    }

    fn find_word(&self, mark: &Mark, word: &str) -> Option<Place> {
        let bytes = mark.bytes.clone()?;
        let value = self.source.get(bytes.clone())?;
        let in_word = |c: char| c.is_alphanumeric() || c == '_';
        let (at, _) = value.match_indices(word).find(|(at, _)| {
            let (before, after) = (&value[..*at], &value[at + word.len()..]);
            !before.ends_with(in_word) && !before.ends_with('.') && !after.starts_with(in_word)
        })?;
        let before = self.source.get(..bytes.start + at)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Some(Place { line, column: before[line_start..].chars().count() + 1 })
    }

    /// Logs a fault of a key, or of a key missing below it.
    pub fn key(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        let (mark, _) = self.root.find(path);
        self.add(path, mark.key_place(), message.into(), hint);
    }

    /// Logs a value that cannot be used at all. Later faults at its path are dropped.
    pub fn broken(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        self.value(path, message, hint);
        self.mark_broken(path);
    }

    pub fn mark_broken(&self, path: &Path<'_>) {
        self.broken.borrow_mut().insert(path.to_string());
    }

    pub fn is_broken(&self, path: &Path<'_>) -> bool {
        let broken = self.broken.borrow();
        !broken.is_empty() && broken.contains(&path.to_string())
    }

    /// Logs a fault of the command line or the environment, which has no place in the file.
    pub fn unplaced(&self, message: impl Into<String>, hint: Option<String>) {
        self.push(Fault { path: None, line: None, column: None, message: message.into(), hint });
    }

    pub fn at(&self, path: Option<String>, place: Place, message: String, hint: Option<String>) {
        let Place { line, column } = place;
        self.push(Fault { path, line: Some(line), column: Some(column), message, hint });
    }

    /// Never shows the value: it may be a secret.
    pub fn hide(&self, path: &Path<'_>) {
        if let (Mark { bytes: Some(bytes), .. }, true) = self.root.find(path) {
            self.secrets.borrow_mut().push(bytes.clone());
        }
    }

    /// `did you mean "…"?`, if one of the names is similar enough.
    pub fn nearest<'n>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        if self.is_full() || name.chars().count() > MAX_NAME {
            return None;
        }
        let mut best: Option<(f64, &str)> = None;
        for candidate in names {
            if self.comparisons.get() >= MAX_COMPARISONS {
                return None;
            }
            self.comparisons.set(self.comparisons.get() + 1);
            let similarity = similarity(name, candidate);
            if similarity > best.map_or(0.7, |(best, _)| best) {
                best = Some((similarity, candidate));
            }
        }
        best.map(|(_, candidate)| format!("did you mean {candidate:?}?"))
    }

    pub fn is_empty(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// Whether further faults are only counted.
    fn is_full(&self) -> bool {
        self.faults.borrow().len() >= MAX_FAULTS
    }

    /// All faults, in the order of the file.
    pub fn finish(self, file: Option<PathBuf>, source: String) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| (fault.line.unwrap_or(0), fault.column.unwrap_or(0)));
        let left_out = self.left_out.get();
        if left_out > 0 {
            let message = format!("{left_out} more faults are not shown");
            faults.push(Fault { path: None, line: None, column: None, message, hint: None });
        }
        Faults { file, source: mask(source, &self.secrets.into_inner()), faults }
    }

    fn add(&self, path: &Path<'_>, place: Place, message: String, hint: Option<String>) {
        if self.is_full() {
            self.left_out.set(self.left_out.get() + 1);
            return;
        }
        if self.is_broken(path) {
            return;
        }
        let path = Some(path.to_string()).filter(|path| !path.is_empty());
        self.at(path, place, message, hint);
    }

    fn push(&self, mut fault: Fault) {
        // A fault repeats names and texts of the file, and each can be as long as the file.
        fault.message = truncate(fault.message, MAX_TEXT);
        fault.hint = fault.hint.map(|hint| truncate(hint, MAX_TEXT));
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MAX_FAULTS {
            faults.push(fault);
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
    }
}

fn similarity(name: &str, candidate: &str) -> f64 {
    if candidate.len() > 4 * MAX_NAME {
        return 0.0;
    }
    // Jaro-Winkler favours a common start, Damerau-Levenshtein finds one typo anywhere.
    let typos = strsim::normalized_damerau_levenshtein(name, candidate);
    typos.max(strsim::jaro_winkler(name, candidate) - 0.1)
}

/// Replaces every character of a secret by an asterisk. Lines and columns stay the same.
fn mask(source: String, secrets: &[Range<usize>]) -> String {
    if secrets.is_empty() {
        return source;
    }
    let mut secrets = secrets.to_vec();
    secrets.sort_by_key(|range| range.start);
    let mut shown = String::with_capacity(source.len());
    let mut from = 0;
    for range in secrets {
        let (Some(clear), Some(secret)) =
            (source.get(from..range.start), source.get(range.start..range.end))
        else {
            continue;
        };
        shown.push_str(clear);
        shown.extend(secret.chars().map(|c| if c.is_whitespace() { c } else { '*' }));
        from = range.end;
    }
    shown.push_str(source.get(from..).unwrap_or_default());
    shown
}
