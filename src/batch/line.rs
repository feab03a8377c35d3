//! A line of a results file: what became of one input.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::key::Content;
use crate::report::{AgentReport, AgentStatus, FailIfReport, Report, RunStatus, Usage, word};

/// `error.kind` of an input that cannot be used.
pub const INPUT: &str = "input";

/// The result of one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    pub key: String,
    /// The input's place among all inputs, from 0.
    pub index: u64,
    pub status: RunStatus,
    /// The text of the crew's `output` agent.
    pub answer: Option<String>,
    /// Its structured answer.
    pub data: Option<Value>,
    pub error: Option<LineError>,
    pub usage: Usage,
    /// In the unit of the file's prices, if the price of every call is known.
    pub cost: Option<f64>,
    /// How many times the input has been run into this folder, this time included.
    pub attempts: u32,
    pub duration_ms: u64,
    pub agents: BTreeMap<String, LineAgent>,
    /// That of the crew that has run.
    pub fingerprint: String,
    /// Names the content of the input.
    #[schemars(with = "Option<String>")]
    pub content: Option<Content>,
}

/// Why an input has not succeeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineError {
    /// That of the first agent that failed, or [`INPUT`], `fail_if`, or what stopped the run.
    pub kind: String,
    pub message: String,
}

/// The short report of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineAgent {
    pub status: AgentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub duration_ms: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
}

impl Line {
    /// The line of an input that cannot be used.
    pub fn unusable(key: String, index: u64, why: String) -> Self {
        Self {
            key,
            index,
            status: RunStatus::Failed,
            answer: None,
            data: None,
            error: Some(LineError { kind: INPUT.to_owned(), message: why }),
            usage: Usage::default(),
            cost: None,
            attempts: 1,
            duration_ms: 0,
            agents: BTreeMap::new(),
            fingerprint: String::new(),
            content: None,
        }
    }

    /// The line of an input that was run, `spent` on runs before this one.
    pub fn of(key: String, index: u64, report: &Report, spent: Usage) -> Self {
        let mut usage = report.usage;
        usage += spent;
        let output = report.answer_of.as_ref();
        let output = output.and_then(|name| report.agents.iter().find(|agent| agent.name == *name));
        let output = output.filter(|agent| agent.status == AgentStatus::Succeeded);
        let agents = report.agents.iter().map(|agent| (agent.name.clone(), agent.into()));
        Self {
            key,
            index,
            status: report.status,
            answer: output.and_then(AgentReport::answer_text),
            data: output.and_then(data),
            error: error(report),
            usage,
            cost: usage.cost.whole(),
            attempts: 1,
            duration_ms: report.duration_ms,
            agents: agents.collect(),
            fingerprint: String::new(),
            content: None,
        }
    }

    /// The line as it stands in the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        // The types of a line cannot fail to serialize.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

impl From<&AgentReport> for LineAgent {
    fn from(agent: &AgentReport) -> Self {
        Self {
            status: agent.status,
            error: agent.error.as_ref().and(agent.failure()).map(|(kind, _)| kind),
            duration_ms: agent.duration_ms,
            input_tokens: agent.usage.input_tokens,
            output_tokens: agent.usage.output_tokens,
        }
    }
}

/// The structured answer; a list of those of instances.
fn data(agent: &AgentReport) -> Option<Value> {
    match &agent.items {
        Some(_) => agent.answer().filter(Value::is_array),
        None => agent.data.clone(),
    }
}

fn error(report: &Report) -> Option<LineError> {
    if report.status == RunStatus::Succeeded {
        return None;
    }
    let failed = report.agents.iter().find(|agent| agent.status.is_failure());
    if let Some((kind, message)) = failed.and_then(AgentReport::failure) {
        return Some(LineError { kind, message });
    }
    let reason = report.reason.as_ref();
    let kind = reason.map_or_else(|| "failed".to_owned(), |reason| word(reason.kind));
    let message = match report.fail_if.as_ref().and_then(FailIfReport::failure) {
        Some(failure) => format!("fail_if {failure}"),
        None => format!("cancelled: {kind}"),
    };
    Some(LineError { kind, message })
}
