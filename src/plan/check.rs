//! Checks of single values, shared by all parts of the file.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::faults::FaultLog;
use crate::config::file::{DurationText, SizeText};
use crate::config::place::Path;
use crate::text::quoted;
use crate::units;

/// Where a value came from: the file, or an option of the command line.
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

/// A name of an agent, tool or provider.
pub fn name(name: &str, of: &str, path: &Path<'_>, log: &FaultLog) {
    let mut chars = name.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        && name.len() <= 64;
    if !good {
        let hint = "a letter, then letters, digits, _ or -, 64 at most".to_owned();
        log.key(path, format!("{} cannot be the name of {of}", quoted(name)), Some(hint));
    }
}

/// The number, or the nearest one allowed after noting the fault.
pub fn whole(value: u64, allowed: RangeInclusive<u64>, path: &Path<'_>, log: &FaultLog) -> u64 {
    if !allowed.contains(&value) {
        let (least, most) = (allowed.start(), allowed.end());
        let message = format!("expected a whole number from {least} to {most}, found {value}");
        log.value(path, message, None);
    }
    value.clamp(*allowed.start(), *allowed.end())
}

pub fn timeout(
    text: Option<&DurationText>,
    default: Duration,
    path: &Path<'_>,
    log: &FaultLog,
) -> Duration {
    noted(text.map(|text| units::timeout(&text.0)), default, path, log)
}

/// As [`timeout`], but none at all is possible too.
pub fn grace(
    text: Option<&DurationText>,
    default: Duration,
    path: &Path<'_>,
    log: &FaultLog,
) -> Duration {
    noted(text.map(|text| units::duration(&text.0)), default, path, log)
}

pub fn size(
    text: Option<&SizeText>,
    bounds: RangeInclusive<usize>,
    default: usize,
    path: &Path<'_>,
    log: &FaultLog,
) -> usize {
    let size = |text: &str| units::size(text, *bounds.start(), *bounds.end());
    noted(text.map(|text| size(&text.0)), default, path, log)
}

fn noted<T>(read: Option<Result<T, String>>, default: T, path: &Path<'_>, log: &FaultLog) -> T {
    match read {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(why)) => {
            log.value(path, why, None);
            default
        }
    }
}
