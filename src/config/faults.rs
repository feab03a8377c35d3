//! The faults of a file, each with its place.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::path::{Path as FilePath, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::place::{Path, Place};
use super::sources::{Source, Sources};
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// The file with the place.
    pub file: Option<String>,
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

impl Fault {
    pub fn unplaced(file: Option<String>, message: String, hint: Option<String>) -> Self {
        Self { file, path: None, line: None, column: None, message, hint }
    }
}

/// All faults, in the order of the files.
#[derive(Debug)]
pub struct Faults {
    /// The files' texts for display, with asterisks in place of possible secrets.
    pub sources: Vec<Source>,
    pub faults: Vec<Fault>,
    /// What is no fault, but probably not intended.
    pub warnings: Vec<Fault>,
}

impl Faults {
    /// A single fault without a place.
    pub fn unplaced(file: Option<PathBuf>, message: String, hint: Option<String>) -> Self {
        let file = file.map(|file| file.to_string_lossy().into_owned());
        let fault = Fault::unplaced(file, message, hint);
        Self { sources: Vec::new(), faults: vec![fault], warnings: Vec::new() }
    }
}

/// The JSON document in place of a report if nothing ran.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InvalidReport {
    pub schema_version: u32,
    #[schemars(extend("const" = "invalid"))]
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

/// Collects faults while the files are read and checked.
#[derive(Debug, Default)]
pub struct FaultLog {
    pub sources: Sources,
    /// With the places by which they are sorted.
    faults: RefCell<Vec<(Option<Place>, Fault)>>,
    left_out: Cell<usize>,
    comparisons: Cell<usize>,
    /// The paths of values that cannot be read. Later faults at these paths are dropped.
    broken: RefCell<HashSet<String>>,
    warnings: RefCell<Vec<(Place, Fault)>>,
    /// The variables that templates use. `None`: all, as in `{{ vars }}`.
    used_variables: RefCell<HashSet<Option<String>>>,
}

impl FaultLog {
    /// Logs a fault of a value.
    pub fn value(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        self.add(path, self.sources.value_place(path), message.into(), hint);
    }

    /// Logs a fault of one word of a text. Its place is the word's in the value as written.
    pub fn word(&self, path: &Path<'_>, word: &str, message: String, hint: Option<String>) {
        if self.is_full() {
            return self.left_out.set(self.left_out.get() + 1);
        }
        let place = self.sources.word_place(path, word);
        self.add(path, place.unwrap_or(self.sources.value_place(path)), message, hint);
    }

    /// Logs a fault in one line of a text.
    pub fn line(&self, path: &Path<'_>, line: usize, message: String, hint: Option<String>) {
        match self.sources.line_place(path, line) {
            Some(place) => self.add(path, place, message, hint),
            None if line > 1 => {
                self.value(path, format!("{message} (in line {line} of the template)"), hint)
            }
            None => self.value(path, message, hint),
        }
    }

    /// Logs a fault of a key, or of a key missing below it.
    pub fn key(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        self.add(path, self.sources.key_place(path), message.into(), hint);
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

    /// Logs a fault of the command line or the environment, which has no place in a file.
    pub fn unplaced(&self, message: impl Into<String>, hint: Option<String>) {
        self.push(None, Fault::unplaced(None, message.into(), hint));
    }

    pub fn at(&self, path: Option<String>, place: Place, message: String, hint: Option<String>) {
        let Place { file, line, column } = place;
        let file = self.sources.file(file).map(|file| file.to_string_lossy().into_owned());
        let fault = Fault { file, path, line: Some(line), column: Some(column), message, hint };
        self.push(Some(place), fault);
    }

    /// Logs something that is no fault, but probably not intended.
    pub fn warning(&self, path: &Path<'_>, message: impl Into<String>, hint: Option<String>) {
        let place = self.sources.key_place(path);
        let Place { file, line, column } = place;
        let file = self.sources.file(file).map(|file| file.to_string_lossy().into_owned());
        let mut warnings = self.warnings.borrow_mut();
        if warnings.len() < MAX_FAULTS {
            let (path, line, column) = (Some(path.to_string()), Some(line), Some(column));
            let message = truncate(message.into(), MAX_TEXT);
            warnings.push((place, Fault { file, path, line, column, message, hint }));
        }
    }

    /// Remembers that a template uses a variable of `vars`, or all of them.
    pub fn use_variable(&self, name: Option<&String>) {
        self.used_variables.borrow_mut().insert(name.cloned());
    }

    pub fn is_variable_used(&self, name: &str) -> bool {
        let used = self.used_variables.borrow();
        used.contains(&None) || used.contains(&Some(name.to_owned()))
    }

    /// A place as people write it: `common.yaml:3:5`.
    pub fn show(&self, Place { file, line, column }: Place) -> String {
        let file = self.sources.file(file).unwrap_or(FilePath::new("the file"));
        format!("{}:{line}:{column}", file.display())
    }

    /// Never shows the value: it may be a secret.
    pub fn hide(&self, path: &Path<'_>) {
        self.sources.hide(path);
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

    /// All faults, in the order of the files.
    pub fn finish(self) -> Faults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|(place, _)| *place);
        let mut faults: Vec<Fault> = faults.into_iter().map(|(_, fault)| fault).collect();
        let left_out = self.left_out.get();
        if left_out > 0 {
            let message = format!("{left_out} more faults are not shown");
            faults.push(Fault::unplaced(None, message, None));
        }
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|(place, _)| *place);
        let warnings = warnings.into_iter().map(|(_, warning)| warning).collect();
        Faults { sources: self.sources.masked(), faults, warnings }
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

    fn push(&self, place: Option<Place>, mut fault: Fault) {
        // A fault repeats names and texts of the file, and each can be as long as the file.
        fault.message = truncate(fault.message, MAX_TEXT);
        fault.hint = fault.hint.map(|hint| truncate(hint, MAX_TEXT));
        let mut faults = self.faults.borrow_mut();
        // What `defaults` say is checked for each agent.
        let is_new = |(at, known): &(Option<Place>, Fault)| *at != place || *known != fault;
        if faults.len() >= MAX_FAULTS {
            self.left_out.set(self.left_out.get() + 1);
        } else if faults.iter().all(is_new) {
            faults.push((place, fault));
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
