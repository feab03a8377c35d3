//! What happens during a run, as it happens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::calls::ToolStatus;
use super::cancel::CancelReason;
use super::document::{AgentStatus, Usage};
use super::live::LiveAnswer;
use super::transcript::TranscriptEntry;

/// Identifies the run of an agent in [`Event`]s: its place among the runs of one run of the crew,
/// from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentRunId(pub usize);

/// What happens during a run, as it happens.
#[derive(Debug, Clone)]
pub enum Event {
    AgentStarted {
        agent: AgentRunId,
    },
    ModelCallStarted {
        agent: AgentRunId,
        turn: u32,
        /// What the model writes, while it writes it.
        answer: Arc<LiveAnswer>,
    },
    /// Tokens counted so far, all model calls of the agent together.
    Tokens {
        agent: AgentRunId,
        usage: Usage,
    },
    /// An agent has been waiting for a while until its model may be asked.
    Queued {
        agent: AgentRunId,
        /// What for.
        reason: &'static str,
        /// How long the server asked to wait; zero if it did not.
        wait: Duration,
    },
    Retrying {
        agent: AgentRunId,
        attempt: u32,
        delay: Duration,
        error: String,
    },
    /// A model has failed for good, and the next one of the list is asked.
    FellBack {
        agent: AgentRunId,
        from: String,
        to: String,
        error: String,
    },
    ToolStarted {
        agent: AgentRunId,
        tool: String,
        arguments: Value,
    },
    ToolFinished {
        agent: AgentRunId,
        tool: String,
        status: ToolStatus,
        duration: Duration,
        /// Why it failed, in one line.
        cause: Option<String>,
    },
    /// An agent with `for_each` knows its items. Each instance follows with its first event.
    InstancesKnown {
        agent: AgentRunId,
        count: usize,
    },
    /// An instance of an agent is about to start, or is skipped.
    InstanceAdded {
        agent: AgentRunId,
        instance: AgentRunId,
        key: String,
    },
    StepStarted {
        agent: AgentRunId,
        /// The program, or method and host of a request.
        program: String,
    },
    CheckStarted {
        agent: AgentRunId,
        program: String,
    },
    CheckFinished {
        agent: AgentRunId,
        status: ToolStatus,
        duration: Duration,
    },
    AgentFinished {
        agent: AgentRunId,
        status: AgentStatus,
        duration: Duration,
        message: Option<String>,
        /// Why it was skipped or cancelled.
        reason: Option<CancelReason>,
    },
    /// An agent or an instance is taken over from an earlier run.
    AgentReused {
        agent: AgentRunId,
        status: AgentStatus,
    },
    /// What an agent and its model send each other, if that was asked for.
    Transcript {
        agent: AgentRunId,
        entry: Arc<TranscriptEntry>,
    },
    /// The run is being stopped; tools have this long to end by themselves.
    Stopping {
        reason: CancelReason,
        grace: Duration,
    },
}

impl Event {
    /// The agent that it is about, if there is one.
    pub fn agent(&self) -> Option<AgentRunId> {
        match self {
            Self::AgentStarted { agent }
            | Self::ModelCallStarted { agent, .. }
            | Self::Tokens { agent, .. }
            | Self::Queued { agent, .. }
            | Self::Retrying { agent, .. }
            | Self::FellBack { agent, .. }
            | Self::ToolStarted { agent, .. }
            | Self::ToolFinished { agent, .. }
            | Self::InstancesKnown { agent, .. }
            | Self::InstanceAdded { agent, .. }
            | Self::StepStarted { agent, .. }
            | Self::CheckStarted { agent, .. }
            | Self::CheckFinished { agent, .. }
            | Self::AgentFinished { agent, .. }
            | Self::AgentReused { agent, .. }
            | Self::Transcript { agent, .. } => Some(*agent),
            Self::Stopping { .. } => None,
        }
    }
}

/// Where events go. Called from the engine's own thread: it must return at once and never block.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;
