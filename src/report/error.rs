//! Why an agent, or one of its model calls, failed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentError {
    pub kind: ErrorKind,
    /// Which limit it was; for timeouts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    pub message: String,
    /// The account's credit or quota is used up: trying again does not help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub used_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// A step's program or request failed.
    Step,
    /// Not a list, too long a list, or instances that failed.
    ForEach,
    /// The check could not run.
    Check,
    /// The check rejected every answer.
    Unverified,
    /// The request is not in the recording that answers.
    NotRecorded,
    Internal,
}

/// Whose time limit fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Run,
    Agent,
    Model,
    Tool,
}
