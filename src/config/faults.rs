//! Collecting every fault of a file, each with its place.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;

use super::place::{Inside, Mark, Path, Place};
use crate::report::{Fault, InvalidReport, RunStatus, SCHEMA_VERSION};
use crate::text::truncate;

/// More than anybody reads; without a bound a hostile file could make the report far larger than
/// itself.
const MOST_FAULTS: usize = 200;
/// Comparisons made in search of the nearest name, all faults together.
const MOST_COMPARISONS: usize = 50_000;
/// Characters of a message, and of a hint.
const LONGEST_TEXT: usize = 1000;
/// A longer name is not a slip of the finger.
const LONGEST_NAME: usize = 64;

/// Everything that is wrong, in the order of the file.
#[derive(Debug)]
pub struct Faults {
    pub file: Option<PathBuf>,
    /// The file's text for showing, with what may be a secret blotted out.
    pub source: String,
    pub faults: Vec<Fault>,
}

impl Faults {
    /// A single fault that has no place in a file's text.
    pub fn unplaced(file: Option<PathBuf>, message: String, hint: Option<String>) -> Self {
        let fault = Fault { path: None, line: None, column: None, message, hint };
        Self { file, source: String::new(), faults: vec![fault] }
    }
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

/// Where faults are noted while the file is read and checked.
#[derive(Debug)]
pub struct FaultLog {
    source: String,
    root: Mark,
    faults: RefCell<Vec<Fault>>,
    left_out: Cell<usize>,
    comparisons: Cell<usize>,
    /// Values that could not be read: what stands in for them is not to be found fault with again.
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
    /// Faults are placed by these marks of a file's text from now on.
    pub fn set_marks(&mut self, root: Mark, source: &str) {
        self.root = root;
        source.clone_into(&mut self.source);
    }

    /// Something is wrong with a value.
    pub fn value(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        let (mark, exact) = self.root.find(path);
        let place = if exact { mark.value_place() } else { mark.key_place() };
        self.add(path, place, message.into(), hint);
    }

    /// Something is wrong with one word of a text, which is looked for in the value as it is
    /// written.
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

    /// Something is wrong with a key, or with what is missing below it.
    pub fn key(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        let (mark, _) = self.root.find(path);
        self.add(path, mark.key_place(), message.into(), hint);
    }

    /// A value that cannot be used at all; further faults at its path are echoes of this one.
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

    /// Something is wrong that the file has no place for: the command line or the environment.
    pub fn unplaced(&self, message: impl Into<String>, hint: Option<String>) {
        self.push(Fault { path: None, line: None, column: None, message: message.into(), hint });
    }

    pub fn at(&self, path: Option<String>, place: Place, message: String, hint: Option<String>) {
        let Place { line, column } = place;
        self.push(Fault { path, line: Some(line), column: Some(column), message, hint });
    }

    /// The value may be a secret: it is never shown.
    pub fn hide(&self, path: &Path<'_>) {
        if let (Mark { bytes: Some(bytes), .. }, true) = self.root.find(path) {
            self.secrets.borrow_mut().push(bytes.clone());
        }
    }

    /// `did you mean "…"?`, if one of the names is near enough.
    pub fn nearest<'n>(
        &self,
        name: &str,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        if self.is_full() || name.chars().count() > LONGEST_NAME {
            return None;
        }
        let mut best: Option<(f64, &str)> = None;
        for candidate in names {
            if self.comparisons.get() >= MOST_COMPARISONS {
                return None;
            }
            self.comparisons.set(self.comparisons.get() + 1);
            let likeness = likeness(name, candidate);
            if likeness > best.map_or(0.7, |(best, _)| best) {
                best = Some((likeness, candidate));
            }
        }
        best.map(|(_, candidate)| format!("did you mean {candidate:?}?"))
    }

    pub fn is_empty(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// More is only counted.
    fn is_full(&self) -> bool {
        self.faults.borrow().len() >= MOST_FAULTS
    }

    /// Everything noted, in the order of the file.
    pub fn finish(self, file: Option<PathBuf>, source: String) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| (fault.line.unwrap_or(0), fault.column.unwrap_or(0)));
        let left_out = self.left_out.get();
        if left_out > 0 {
            let message = format!("{left_out} more faults are not listed");
            faults.push(Fault { path: None, line: None, column: None, message, hint: None });
        }
        Faults { file, source: blot(source, &self.secrets.into_inner()), faults }
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
        // Names and texts of the file are repeated in faults, and each can be as long as the file.
        fault.message = truncate(fault.message, LONGEST_TEXT);
        fault.hint = fault.hint.map(|hint| truncate(hint, LONGEST_TEXT));
        let mut faults = self.faults.borrow_mut();
        if faults.len() < MOST_FAULTS {
            faults.push(fault);
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
    }
}

fn likeness(name: &str, candidate: &str) -> f64 {
    if candidate.len() > 4 * LONGEST_NAME {
        return 0.0;
    }
    // Jaro-Winkler favours a common start, Damerau-Levenshtein finds one slip anywhere.
    let slips = strsim::normalized_damerau_levenshtein(name, candidate);
    slips.max(strsim::jaro_winkler(name, candidate) - 0.1)
}

/// Every character of a secret becomes an asterisk; lines and columns stay as they are.
fn blot(source: String, secrets: &[Range<usize>]) -> String {
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
