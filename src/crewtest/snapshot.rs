//! The parts of a report that are the same in every run of a test, kept in a file.

use std::path::Path;

use serde_json::{Map, Value};

use super::mismatch::Mismatch;
use crate::config::find;
use crate::recording::differences;
use crate::report::Report;

/// Bytes of a snapshot that is read.
const MAX_SNAPSHOT: u64 = 256 << 20;
/// The fields of a report that the snapshot has.
const OF_REPORT: [&str; 6] = ["crew", "status", "exit_code", "reason", "answer", "fail_if"];
/// Fields of agents, tool calls and checks that differ from run to run.
const CHANGING: [&str; 7] = [
    "started_ms",
    "duration_ms",
    "queued_ms",
    "usage",
    "model_calls",
    "model_calls_omitted",
    "messages",
];

/// Compares a report with the snapshot, or rewrites the snapshot.
pub fn compare(path: &Path, report: &Report, update: bool) -> Option<Mismatch> {
    let now = stable(report);
    let shown = path.display();
    let update_it = "crew test --update writes it";
    let recorded = find::read_up_to(path, MAX_SNAPSHOT, "a snapshot");
    let known = recorded.as_ref().ok().and_then(|text| serde_json::from_str(text).ok());
    if known.as_ref() == Some(&now) {
        return None;
    }
    // Not a pipe, which would block, nor a device.
    if update && (path.is_file() || !path.exists()) {
        let mut text = serde_json::to_string_pretty(&now).unwrap_or_default();
        text.push('\n');
        let failed = |error| Mismatch::new(format!("cannot write the snapshot {shown}: {error}"));
        return std::fs::write(path, text).err().map(failed);
    }
    Some(match (known, recorded) {
        (Some(known), _) => Mismatch {
            message: format!("the report differs from the snapshot {shown}"),
            seen: vec![differences(&known, &now)],
        },
        (None, Err(_)) if !path.exists() => {
            Mismatch::new(format!("there is no snapshot {shown}; {update_it}"))
        }
        (None, Err(error)) => {
            Mismatch::new(format!("cannot read the snapshot {shown}: {}", error.message()))
        }
        (None, Ok(_)) => Mismatch::new(format!("the snapshot {shown} is not JSON; {update_it}")),
    })
}

/// The report without times, ids and counts.
fn stable(report: &Report) -> Value {
    let Ok(Value::Object(mut whole)) = serde_json::to_value(report) else { return Value::Null };
    let mut kept: Map<String, Value> = OF_REPORT
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), whole.remove(*name)?)))
        .collect();
    let mut agents = whole.remove("agents").unwrap_or_default();
    agents.as_object_mut().into_iter().flatten().for_each(|(_, agent)| stabilize(agent));
    kept.insert("agents".to_owned(), agents);
    Value::Object(kept)
}

fn stabilize(agent: &mut Value) {
    let Some(fields) = agent.as_object_mut() else { return };
    fields.retain(|name, _| !CHANGING.contains(&name.as_str()));
    for list in ["tool_calls", "checks"] {
        for call in fields.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(call) = call.as_object_mut() {
                call.retain(|name, _| !CHANGING.contains(&name.as_str()));
            }
        }
    }
    if let Some(error) = fields.get_mut("error") {
        without_times(error);
    }
    for failed in fields.get_mut("fallbacks").and_then(Value::as_array_mut).into_iter().flatten() {
        without_times(&mut failed["error"]);
    }
    for item in fields.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        stabilize(item);
    }
}

/// Takes out how long several attempts took.
fn without_times(error: &mut Value) {
    if let Some(Value::String(message)) = error.get_mut("message")
        && let Some(at) = message.rfind(" (after ")
    {
        message.truncate(at);
    }
}
