//! A value in a file of its own, JSON or YAML, read in bounded time and memory.

use std::path::Path as FilePath;

use serde::Deserialize;
use serde_json::Value;

use super::decode::Decoder;
use super::faults::{Fault, FaultLog, Faults};
use super::place::Path;
use super::{find, yaml};

/// Reads a value from a file of at most `max_bytes`. `what` names the value in messages.
///
/// # Errors
/// The faults of the file, each as a text with its place.
pub fn read(file: &FilePath, max_bytes: u64, what: &str) -> Result<Value, Vec<String>> {
    let source = find::read_up_to(file, max_bytes, what).map_err(|faults| lines(file, &faults))?;
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let shown = file.display();
        return serde_json::from_str(&source)
            .map_err(|error| vec![format!("{shown}: invalid JSON: {error}")]);
    }
    let mut log = FaultLog::default();
    let value = from_yaml(&source, &mut log);
    match value {
        Some(value) if log.is_empty() => Ok(value),
        _ => Err(lines(file, &log.finish(Some(file.to_owned()), String::new()))),
    }
}

fn from_yaml(source: &str, log: &mut FaultLog) -> Option<Value> {
    let node = yaml::read(source, log).ok()?;
    Value::deserialize(Decoder::new(&node, &Path::Root, log)).ok()
}

fn lines(file: &FilePath, faults: &Faults) -> Vec<String> {
    let shown = file.display().to_string();
    let line = |fault: &Fault| match (fault.line, fault.column) {
        (Some(line), Some(column)) => format!("{shown}:{line}:{column}: {}", fault.message),
        _ if fault.message.contains(&shown) => fault.message.clone(),
        _ => format!("{shown}: {}", fault.message),
    };
    faults.faults.iter().map(line).collect()
}
