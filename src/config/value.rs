//! A value in a file of its own, JSON or YAML: read in bounded time and memory, as it stands there.

use std::path::Path as FilePath;

use serde::Deserialize;
use serde_json::Value;

use super::decode::Decoder;
use super::faults::{FaultLog, Faults};
use super::find;
use super::guard;
use super::place::Path;

/// The value in a file of at most so many bytes; `what` it is.
///
/// # Errors
/// What is wrong with the file, a text for each fault, with its place.
pub fn read(file: &FilePath, largest: u64, what: &str) -> Result<Value, Vec<String>> {
    let source = find::read_up_to(file, largest, what).map_err(|faults| lines(file, &faults))?;
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let shown = file.display();
        return serde_json::from_str(&source)
            .map_err(|error| vec![format!("{shown}: this is not valid JSON: {error}")]);
    }
    let mut log = FaultLog::default();
    let value = yaml(&source, &mut log);
    match value {
        Some(value) if log.is_empty() => Ok(value),
        _ => Err(lines(file, &log.finish(Some(file.to_owned()), String::new()))),
    }
}

/// Nothing if there is a fault in the way, which is noted.
fn yaml(source: &str, log: &mut FaultLog) -> Option<Value> {
    let node = guard::read(source, log).ok()?;
    Value::deserialize(Decoder::new(&node, &Path::Root, log)).ok()
}

fn lines(file: &FilePath, faults: &Faults) -> Vec<String> {
    let shown = file.display().to_string();
    let line = |fault: &crate::report::Fault| match (fault.line, fault.column) {
        (Some(line), Some(column)) => format!("{shown}:{line}:{column}: {}", fault.message),
        _ if fault.message.contains(&shown) => fault.message.clone(),
        _ => format!("{shown}: {}", fault.message),
    };
    faults.faults.iter().map(line).collect()
}
