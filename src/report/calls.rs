//! What models, tools, steps and checks did, and what a condition saw.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cancel::CancelKind;
use super::error::AgentError;
use crate::chat::TokenUsage;

/// One call of a model. Each attempt is a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelCallReport {
    /// As in the file: `provider/model`, or `offline`.
    pub model: String,
    /// From 1. An attempt has the turn of the call that it repeats.
    pub turn: u32,
    pub status: ToolStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<AgentError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// When it was sent, after all waiting for its turn.
    pub started_ms: u64,
    pub duration_ms: u64,
    pub usage: TokenUsage,
}

impl ModelCallReport {
    /// A call that has just begun. If it is dropped, this is its report.
    pub fn begun(model: String, turn: u32, started_ms: u64) -> Self {
        Self {
            model,
            turn,
            status: ToolStatus::Cancelled,
            error: None,
            finish_reason: None,
            started_ms,
            duration_ms: 0,
            usage: TokenUsage::default(),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ToolCallReport {
    /// As the model wrote it: for a `rejected` call it may name no tool at all.
    pub tool: String,
    /// The checked arguments with defaults filled in; for a `rejected` call what the model sent.
    pub arguments: Value,
    pub status: ToolStatus,
    pub exit_code: Option<i32>,
    /// The name of the signal that ended the tool, such as `SIGTERM`.
    pub signal: Option<String>,
    /// The status of the last answer that an HTTP tool got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    pub started_ms: u64,
    pub duration_ms: u64,
    /// What the model gets to see.
    pub output: String,
    /// The middle of the output was left out.
    pub truncated: bool,
    /// The tool ended but left processes behind, which crew then stopped.
    pub leaked: bool,
    /// What made crew stop the tool; `None` if it ended by itself.
    pub stopped_by: Option<CancelKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    /// Unknown tool, arguments that do not fit its schema, a host out of reach with `--offline`, or
    /// a call that was not approved; nothing ran.
    Rejected,
}

/// How a step's program or request ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    pub exit_code: Option<i32>,
    /// The name of the signal that ended the program, such as `SIGTERM`.
    pub signal: Option<String>,
    /// The status of the last response to a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Head and tail of it.
    pub stderr: String,
    /// The program ended but left processes behind, which crew then stopped.
    pub leaked: bool,
}

/// One run of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckReport {
    pub status: ToolStatus,
    pub exit_code: Option<i32>,
    /// The name of the signal that ended the check, such as `SIGTERM`.
    pub signal: Option<String>,
    pub started_ms: u64,
    pub duration_ms: u64,
    /// stdout and stderr, as the model gets to see them.
    pub output: String,
    /// The middle of the output was left out.
    pub truncated: bool,
    pub leaked: bool,
    pub stopped_by: Option<CancelKind>,
}

/// The condition under which a run fails although every agent ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailIfReport {
    pub expression: String,
    /// `None` if it was not evaluated.
    pub holds: Option<bool>,
    /// Why it cannot be evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the names in it stood for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saw: BTreeMap<String, Value>,
}

impl FailIfReport {
    /// Why the run fails, if it does: `holds: EXPRESSION` or `cannot be evaluated: …`.
    pub fn failure(&self) -> Option<String> {
        let expression = &self.expression;
        match (&self.error, self.holds) {
            (Some(error), _) => Some(format!("cannot be evaluated: {error}: {expression}")),
            (None, Some(true)) => Some(format!("holds: {expression}")),
            (None, Some(false) | None) => None,
        }
    }
}
