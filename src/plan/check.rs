//! Checks of single values, shared by all parts of the file. Each logs its fault.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::faults::FaultLog;
use crate::config::file::{DurationText, SizeText};
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::text::quoted;
use crate::units;
use crate::vendor;

/// Where a value comes from: the file, or an option of the command line.
pub enum Origin<'a> {
    File(&'a Path<'a>),
    Option(&'a str),
}

impl Origin<'_> {
    pub fn fault(&self, log: &FaultLog, message: String, hint: Option<String>) {
        match self {
            Self::File(path) => log.value(path, message, hint),
            Self::Option(option) => log.unplaced(format!("{option}: {message}"), hint),
        }
    }
}

/// A hint that lists the first names; `None` if there are none.
pub fn known<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    const MAX_NAMES: usize = 10;
    let mut names: Vec<&str> = names.take(MAX_NAMES + 1).collect();
    if names.len() > MAX_NAMES {
        names[MAX_NAMES] = "…";
    }
    (!names.is_empty()).then(|| format!("known: {}", names.join(", ")))
}

/// The directory of the file that defines a value, where relative paths of the value start.
pub fn base_dir(path: &Path<'_>, log: &FaultLog) -> Arc<PathBuf> {
    let folder = log.sources.folder(path);
    // Absolute, since a tool may have its own working directory. This fails only without a current
    // directory.
    Arc::new(std::path::absolute(folder.join(".")).unwrap_or_else(|_| folder.to_owned()))
}

/// The name of an agent, tool or provider.
pub fn name(name: &str, of: &str, path: &Path<'_>, log: &FaultLog) {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && name.len() <= 64;
    if !good {
        let hint = "use a letter, then letters, digits, _ or -, at most 64 in all".to_owned();
        log.key(path, format!("{} cannot be the name of {of}", quoted(name)), Some(hint));
    }
}

/// Logs the keys that are given, each beside whether it is, although only the `owners` have them.
pub fn misplaced(keys: &[(&str, bool)], owners: &str, path: &Path<'_>, log: &FaultLog) {
    for (key, _) in keys.iter().filter(|(_, is_given)| *is_given) {
        let message = format!("{key} is for {owners}");
        log.key(&path.key(key), message, Some("remove it".to_owned()));
    }
}

/// A text that becomes an argument or a variable of a program.
pub fn no_nul(text: &str, path: &Path<'_>, log: &FaultLog) {
    if text.contains('\0') {
        log.value(path, "a text for a program cannot contain NUL", None);
    }
}

pub fn whole<T: Copy + PartialOrd + Display + TryFrom<u64>>(
    value: &u64,
    allowed: RangeInclusive<T>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<T> {
    let found = T::try_from(*value).ok().filter(|value| allowed.contains(value));
    if found.is_none() {
        let (min, max) = (allowed.start(), allowed.end());
        let message = format!("expected a whole number from {min} to {max}, found {value}");
        log.value(path, message, None);
    }
    found
}

pub fn number(
    value: &f64,
    allowed: impl RangeBounds<f64>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<f64> {
    if value.is_finite() && allowed.contains(value) {
        return Some(*value);
    }
    let expected = match (allowed.start_bound(), allowed.end_bound()) {
        (Bound::Included(min), Bound::Included(max)) => format!("a number from {min} to {max}"),
        (Bound::Included(min), _) => format!("a number of {min} or more"),
        (Bound::Excluded(min), _) => format!("a number above {min}"),
        (Bound::Unbounded, _) => "a number".to_owned(),
    };
    log.value(path, format!("expected {expected}, found {value}"), None);
    None
}

/// A value whose type allows nothing wrong.
pub fn choice<T: Copy>(value: &T, _path: &Path<'_>, _log: &FaultLog) -> Option<T> {
    Some(*value)
}

/// Texts that end an answer.
pub fn stops(texts: &[String], path: &Path<'_>, log: &FaultLog) -> Option<Vec<String>> {
    for (at, _) in texts.iter().enumerate().filter(|(_, text)| text.is_empty()) {
        log.value(&path.index(at), "an empty text would end every answer", None);
    }
    Some(texts.to_vec())
}

/// Keys to merge into requests: none that crew sets.
pub fn extra_body(
    entries: &Entries<Value>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<Arc<Map<String, Value>>> {
    for (key, value) in &entries.0 {
        let path = path.key(key);
        let inner = value.as_object().into_iter().flatten().map(|(inner, _)| inner.as_str());
        let within =
            |inner| vendor::setting_of(&[key, inner]).map(|setting| (Some(inner), setting));
        let own = vendor::setting_of(&[key]).map(|setting| (None, setting));
        let Some((inner, setting)) = own.or_else(|| inner.into_iter().find_map(within)) else {
            continue;
        };
        let written = inner.map_or(key.clone(), |inner| format!("{key}.{inner}"));
        let hint = setting.map(|setting| format!("use {setting}"));
        log.key(&path, format!("crew sets {written} itself"), hint);
    }
    Some(Arc::new(entries.0.iter().cloned().collect()))
}

/// A duration of more than 0.
pub fn timeout(text: &DurationText, path: &Path<'_>, log: &FaultLog) -> Option<Duration> {
    parsed(units::timeout(&text.0), path, log)
}

pub fn duration(text: &DurationText, path: &Path<'_>, log: &FaultLog) -> Option<Duration> {
    parsed(units::duration(&text.0), path, log)
}

/// A number of bytes.
pub fn size(
    text: &SizeText,
    allowed: RangeInclusive<usize>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Option<usize> {
    parsed(units::size(&text.0, *allowed.start(), *allowed.end()), path, log)
}

fn parsed<T>(result: Result<T, String>, path: &Path<'_>, log: &FaultLog) -> Option<T> {
    result.map_err(|why| log.value(path, why, None)).ok()
}
