//! The report of one agent, and what a run adds up to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::calls::{CheckReport, ModelCallReport, StepReport, ToolCallReport};
use super::cancel::CancelReason;
use super::cost::Cost;
use super::error::AgentError;
use super::transcript::MessageReport;

/// What became of one agent. Whatever its ending, it keeps the text streamed so far, its finished
/// tool calls and its tokens.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgentReport {
    /// The agent's name; that of an instance is followed by its key in brackets.
    #[serde(skip)]
    pub name: String,
    /// Names an instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What an instance is for.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub item: Option<Value>,
    pub kind: AgentKind,
    pub status: AgentStatus,
    /// The answer, or what had been streamed of it when the agent ended; `None` if nothing was.
    pub output: Option<String>,
    /// `output` was cut off: the agent ended before its answer was complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// The value in the answer of an agent that has an `output_schema`, `null` until it has one;
    /// `None` for all others.
    #[serde(deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    pub error: Option<AgentError>,
    /// Why an agent was cancelled or skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<CancelReason>,
    /// As written: `provider/model`, or `offline`. Of a list the one that was asked last. Empty for
    /// a step.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// The models that were asked before it, and why they did not answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<FailedModel>,
    /// The server's last one.
    pub finish_reason: Option<String>,
    /// The names of the agents that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// Since the start of the run; `None` if the agent never started.
    pub started_ms: Option<u64>,
    pub duration_ms: u64,
    pub turns: u32,
    pub retries: u32,
    /// Spent waiting until its calls could be made: for its model's endpoint, or for a budget.
    #[serde(skip_serializing_if = "is_zero")]
    pub queued_ms: u64,
    pub usage: Usage,
    /// Its model calls in order; of many, the first and the last ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_calls: Vec<ModelCallReport>,
    /// Model calls in the middle that are not listed.
    #[serde(skip_serializing_if = "is_zero")]
    pub model_calls_omitted: u64,
    pub tool_calls: Vec<ToolCallReport>,
    #[serde(flatten)]
    pub step: Option<StepReport>,
    /// What its `check` said of each answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckReport>,
    /// The instances of an agent with `for_each`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Vec<AgentReport>>,
    /// Deviations from the file that did not keep the agent from working.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The conversation with the model, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<MessageReport>>,
    /// Taken over from an earlier run: everything here is of that run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reused: bool,
}

/// What an agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    Model,
    Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Skipped,
}

impl AgentStatus {
    /// Whether the agent itself failed. One that was cancelled or skipped did not.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

/// A model in whose place another one was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FailedModel {
    pub model: String,
    pub error: AgentError,
    /// What it had streamed of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    pub model_calls: u64,
    /// All that was read, from a cache or not.
    pub input_tokens: u64,
    /// All that was written, reasoning included.
    pub output_tokens: u64,
    /// Of `input_tokens`, those read from a server's cache.
    pub cached_input_tokens: u64,
    /// Of `input_tokens`, those written to a server's cache.
    pub cache_write_tokens: u64,
    /// Of `output_tokens`, those of reasoning, where a server counts them apart.
    pub reasoning_tokens: u64,
    /// Of `input_tokens` and `output_tokens`, those that crew estimated: calls whose server did not
    /// report them, mostly because they were cut off.
    #[serde(skip_serializing_if = "is_zero")]
    pub estimated_tokens: u64,
    pub tool_calls: u64,
    #[serde(flatten)]
    pub cost: Cost,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.model_calls = self.model_calls.saturating_add(other.model_calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_input_tokens =
            self.cached_input_tokens.saturating_add(other.cached_input_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.estimated_tokens = self.estimated_tokens.saturating_add(other.estimated_tokens);
        self.tool_calls = self.tool_calls.saturating_add(other.tool_calls);
        self.cost += other.cost;
    }
}

/// What stopping the run took.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cleanup {
    pub model_calls_cancelled: u64,
    /// Requests of HTTP tools that were dropped.
    #[serde(skip_serializing_if = "is_zero")]
    pub http_calls_cancelled: u64,
    pub processes_stopped: u64,
    pub processes_killed: u64,
    /// Processes that crew could not end.
    pub survivors: Vec<Survivor>,
    /// The process that would have stopped the tools if crew had been killed was killed itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub guardian_lost: bool,
    pub duration_ms: u64,
}

impl std::ops::AddAssign for Cleanup {
    fn add_assign(&mut self, other: Self) {
        self.model_calls_cancelled += other.model_calls_cancelled;
        self.http_calls_cancelled += other.http_calls_cancelled;
        self.processes_stopped += other.processes_stopped;
        self.processes_killed += other.processes_killed;
        self.survivors.extend(other.survivors);
        self.guardian_lost |= other.guardian_lost;
        self.duration_ms += other.duration_ms;
    }
}

/// A value that is there, even if it is null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Survivor {
    pub pid: i32,
    pub command: String,
}

/// The word that a report has for a status, a kind or a reason: `timed_out`.
pub fn word(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// Whole milliseconds, the unit of every time in a report.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
