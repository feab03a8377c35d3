//! Why something was cut short.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::truncate;

/// Characters of a condition.
const MAX_EXPRESSION: usize = 200;

/// Why a run, or an agent in it, was cut short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CancelReason {
    pub kind: CancelKind,
    /// The agent that failed, with [`CancelKind::AgentFailed`]; the agent whose condition was
    /// false, with [`CancelKind::When`], if it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The condition that was false, with [`CancelKind::When`]: redacted, up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<Arc<str>>,
}

impl CancelReason {
    /// `expression` is the condition of an agent, redacted.
    pub fn condition_false(expression: String) -> Self {
        let expression = truncate(expression, MAX_EXPRESSION);
        Self { expression: Some(expression.into()), ..CancelKind::When.into() }
    }

    pub fn agent_failed(agent: &str) -> Self {
        Self { kind: CancelKind::AgentFailed, agent: Some(agent.into()), expression: None }
    }
}

impl From<CancelKind> for CancelReason {
    fn from(kind: CancelKind) -> Self {
        Self { kind, agent: None, expression: None }
    }
}

/// Declared by severity: a later one may replace an earlier one as the reason of the run. The
/// first three are about a tool or an agent only and are never a run's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CancelKind {
    /// A condition was false.
    When,
    ToolTimeout,
    AgentTimeout,
    AgentFailed,
    /// The run's `fail_if` holds, or cannot be evaluated.
    FailIf,
    OutputClosed,
    /// The batch was asked to stop, and its time for that is over.
    Drained,
    /// The run's own.
    Timeout,
    Hangup,
    Terminated,
    Interrupted,
}
