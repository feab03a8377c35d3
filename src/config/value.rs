//! A value in a file of its own, JSON or YAML, read in bounded time and memory.

use std::path::Path as FilePath;

use serde::Deserialize;
use serde_json::Value;

use super::decode::Decoder;
use super::faults::{Fault, FaultLog, Faults};
use super::node::Node;
use super::place::{FileId, Path};
use super::{find, yaml};

/// Reads a value from a file of at most `max_bytes`. `what` names the value in messages.
///
/// # Errors
/// The faults of the file, each as a text with its place.
pub fn read(file: &FilePath, max_bytes: u64, what: &str) -> Result<Value, Vec<String>> {
    let source = find::read_up_to(file, max_bytes, what)
        .map_err(|error| lines(file, &error.into_faults(file)))?;
    if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
        let shown = file.display();
        return serde_json::from_str(&source)
            .map_err(|error| vec![format!("{shown}: invalid JSON: {error}")]);
    }
    let mut log = FaultLog::default();
    let id = log.sources.add(file.to_owned(), source);
    let value = from_yaml(id, &mut log);
    match value {
        Some(value) if log.is_empty() => Ok(value),
        _ => Err(lines(file, &log.finish())),
    }
}

fn from_yaml(file: FileId, log: &mut FaultLog) -> Option<Value> {
    let (mark, node) = yaml::read(file, log).ok()?;
    log.sources.replace_root(mark);
    if node == Node::Null {
        yaml::empty(log);
    }
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
