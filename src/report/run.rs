//! The report of a run. Its serde form is the JSON of the contract; every other output is a pure
//! function of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::agents;
use super::calls::FailIfReport;
use super::cancel::CancelReason;
use super::document::{AgentReport, Cleanup, Usage};
use super::invocation::Invocation;

/// The version of the JSON report. It only grows: fields keep their names and meanings.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole result of one run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    pub schema_version: u32,
    #[serde(default)]
    pub run_id: String,
    /// The crew's `name`, or the stem of its file's name.
    #[serde(default)]
    pub crew: String,
    pub status: RunStatus,
    #[serde(default)]
    pub exit_code: u8,
    /// Why the run was cut short; `None` if it was not.
    pub reason: Option<CancelReason>,
    /// RFC 3339, UTC, milliseconds.
    #[serde(default)]
    pub started_at: String,
    #[serde(default)]
    pub duration_ms: u64,
    #[serde(default)]
    pub input: String,
    /// The crew's answer: the value of a structured one, else a text.
    pub answer: Option<Value>,
    /// The agent whose answer it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_if: Option<FailIfReport>,
    #[serde(default)]
    pub usage: Usage,
    /// In file order; a map in JSON.
    #[serde(with = "agents")]
    #[schemars(with = "BTreeMap<String, AgentReport>")]
    pub agents: Vec<AgentReport>,
    #[serde(default)]
    pub cleanup: Cleanup,
    /// The run whose finished agents it took over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation: Option<Invocation>,
    /// The hashes of the parts of the crew by their names, such as `prompt of review`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<BTreeMap<String, String>>,
}

impl Report {
    /// The crew's answer as a text: a structured one as JSON.
    pub fn answer_text(&self) -> Option<String> {
        match self.answer.as_ref()? {
            Value::String(text) => Some(text.clone()),
            value => serde_json::to_string_pretty(value).ok(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Invalid,
}
