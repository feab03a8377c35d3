//! The report of a run. Its serde form is the JSON of the contract; every other output is a pure
//! function of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

/// The version of the JSON report. It only grows: fields keep their names and meanings.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole result of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub schema_version: u32,
    pub run_id: String,
    /// The crew's `name`, or the stem of its file's name.
    pub crew: String,
    pub status: RunStatus,
    pub exit_code: u8,
    /// Why the run was cut short; `None` if it was not.
    pub reason: Option<CancelReason>,
    /// RFC 3339, UTC, milliseconds.
    pub started_at: String,
    pub duration_ms: u64,
    pub input: String,
    pub usage: Usage,
    /// In file order; a map in JSON.
    #[serde(serialize_with = "as_map")]
    pub agents: Vec<AgentReport>,
    pub cleanup: Cleanup,
}

fn as_map<S: Serializer>(agents: &[AgentReport], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(agents.len()))?;
    for agent in agents {
        map.serialize_entry(&agent.name, agent)?;
    }
    map.end()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Invalid,
}

/// What became of one agent. Whatever its ending, it keeps the text streamed so far, its finished
/// tool calls and its tokens.
#[derive(Debug, Clone, Serialize)]
pub struct AgentReport {
    #[serde(skip)]
    pub name: String,
    pub status: AgentStatus,
    /// The answer, or what had been streamed of it when the agent ended; `None` if nothing was.
    pub output: Option<String>,
    /// `output` was cut off: the agent ended before its answer was complete.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// The value in the answer of an agent that has an `output_schema`, `null` until it has one;
    /// `None` for all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    pub error: Option<AgentError>,
    /// Why an agent was cancelled or skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<CancelReason>,
    /// As written: `provider/model`, or `offline`. Of a list the one that was asked last.
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
    pub tool_calls: Vec<ToolCallReport>,
    /// What was not as the file wants it, and did not keep the agent from working.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    Skipped,
}

/// A model in whose place another one was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedModel {
    pub model: String,
    pub error: AgentError,
    /// What it had streamed of an answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentError {
    pub kind: ErrorKind,
    /// Which limit it was; for timeouts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    Auth,
    RateLimited,
    Overloaded,
    BadRequest,
    ContextLength,
    Network,
    Timeout,
    InvalidResponse,
    MaxTurns,
    /// A limit of tokens, cost or calls is used up.
    Budget,
    Tool,
    Template,
    Internal,
}

/// Whose time limit fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Run,
    Agent,
    Model,
    Tool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
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
    /// In the unit of the file's prices; only where the price of every call is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cost = match (self.model_calls, other.model_calls) {
            (_, 0) => self.cost,
            (0, _) => other.cost,
            _ => self.cost.zip(other.cost).map(|(one, other)| one + other),
        };
        self.model_calls = self.model_calls.saturating_add(other.model_calls);
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
        self.cached_input_tokens =
            self.cached_input_tokens.saturating_add(other.cached_input_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(other.cache_write_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(other.reasoning_tokens);
        self.estimated_tokens = self.estimated_tokens.saturating_add(other.estimated_tokens);
        self.tool_calls = self.tool_calls.saturating_add(other.tool_calls);
    }
}

#[derive(Debug, Clone, Serialize)]
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolStatus {
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
    /// Unknown tool, arguments that do not fit its schema, a host out of reach with `--offline`, or
    /// nobody's leave to run it; nothing ran.
    Rejected,
}

/// What stopping the run took.
#[derive(Debug, Clone, Default, Serialize)]
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

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Clone, Serialize)]
pub struct Survivor {
    pub pid: i32,
    pub command: String,
}

/// Why a run, or an agent in it, was cut short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CancelReason {
    pub kind: CancelKind,
    /// The agent whose failure it was, with [`CancelKind::AgentFailed`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
}

impl CancelReason {
    pub fn agent_failed(agent: &str) -> Self {
        Self { kind: CancelKind::AgentFailed, agent: Some(agent.into()) }
    }
}

impl From<CancelKind> for CancelReason {
    fn from(kind: CancelKind) -> Self {
        Self { kind, agent: None }
    }
}

/// Declared by severity: a later one may replace an earlier one as the reason of the run. The
/// first two stop a tool or an agent only and are never a run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelKind {
    ToolTimeout,
    AgentTimeout,
    AgentFailed,
    OutputClosed,
    /// The run's own.
    Timeout,
    Hangup,
    Terminated,
    Interrupted,
}

/// Whole milliseconds, the unit of every time in a report.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
