//! What every agent is doing, kept up to date by the events. Nothing of it is ever left out,
//! however slow the terminal is.

use std::time::{Duration, Instant};

use crate::render::fit;
use crate::report::{AgentRunId, AgentStatus, Event, Usage};
use crate::text::inline;

use super::lines;

/// Columns of a tool's name: it may be anything a model came up with.
const WIDEST_TOOL: usize = 40;
/// Columns of an error or of arguments.
const WIDEST_DETAIL: usize = 200;

#[derive(Debug)]
pub struct Board {
    pub agents: Vec<Agent>,
    /// Why the run is being stopped, in words.
    pub stopping: Option<String>,
    verbose: bool,
}

#[derive(Debug)]
pub struct Agent {
    pub name: String,
    pub phase: Phase,
    pub started: Option<Instant>,
    pub usage: Usage,
    /// Those that are running, in order of start.
    pub tools: Vec<Tool>,
}

#[derive(Debug)]
pub struct Tool {
    name: String,
    /// The name, and the arguments where they are to be shown.
    pub label: String,
}

#[derive(Debug)]
pub enum Phase {
    Waiting,
    Starting,
    Calling { turn: u32 },
    Queued { reason: &'static str },
    Retrying { until: Instant, error: String },
    Finished { status: AgentStatus, took: Duration },
}

/// How many agents are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub waiting: usize,
    pub running: usize,
    pub succeeded: usize,
    /// Failed or timed out.
    pub failed: usize,
    /// Cancelled or skipped.
    pub stopped: usize,
}

impl Board {
    pub fn new(agents: &[&str], verbose: bool) -> Self {
        let agent = |name: &&str| Agent {
            name: inline(name).into_owned(),
            phase: Phase::Waiting,
            started: None,
            usage: Usage::default(),
            tools: vec![],
        };
        Self { agents: agents.iter().map(agent).collect(), stopping: None, verbose }
    }

    pub fn apply(&mut self, event: &Event, now: Instant) {
        let verbose = self.verbose;
        match event {
            Event::Stopping { reason, grace } => {
                self.stopping = Some(lines::stopping(reason, *grace));
            }
            Event::AgentStarted { agent } => self.with(*agent, |agent| {
                agent.started = Some(now);
                agent.phase = Phase::Starting;
            }),
            Event::ModelCallStarted { agent, turn } => {
                self.with(*agent, |agent| agent.phase = Phase::Calling { turn: *turn });
            }
            Event::Queued { agent, reason } => {
                self.with(*agent, |agent| agent.phase = Phase::Queued { reason });
            }
            Event::FellBack { agent, .. } => {
                self.with(*agent, |agent| agent.phase = Phase::Starting);
            }
            Event::Tokens { agent, usage } => self.with(*agent, |agent| agent.usage = *usage),
            Event::Retrying { agent, delay, error, .. } => self.with(*agent, |agent| {
                let until = now.checked_add(*delay).unwrap_or(now);
                agent.phase = Phase::Retrying { until, error: detail(error) };
            }),
            Event::ToolStarted { agent, tool, arguments } => self.with(*agent, |agent| {
                let name = tool_name(tool);
                let label = match verbose {
                    true => format!("{name} {}", self::arguments(arguments)),
                    false => name.clone(),
                };
                agent.tools.push(Tool { name, label });
            }),
            Event::ToolFinished { agent, tool, .. } => self.with(*agent, |agent| {
                let name = tool_name(tool);
                // One that was rejected has never started.
                if let Some(index) = agent.tools.iter().position(|tool| tool.name == name) {
                    agent.tools.remove(index);
                }
            }),
            Event::AgentFinished { agent, status, duration, .. } => self.with(*agent, |agent| {
                agent.phase = Phase::Finished { status: *status, took: *duration };
                agent.tools.clear();
            }),
        }
    }

    fn with(&mut self, agent: AgentRunId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(agent.0) {
            change(agent);
        }
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for agent in &self.agents {
            let count = match agent.phase {
                Phase::Waiting => &mut counts.waiting,
                Phase::Starting
                | Phase::Calling { .. }
                | Phase::Queued { .. }
                | Phase::Retrying { .. } => &mut counts.running,
                Phase::Finished { status, .. } => match status {
                    AgentStatus::Succeeded => &mut counts.succeeded,
                    AgentStatus::Failed | AgentStatus::TimedOut => &mut counts.failed,
                    AgentStatus::Cancelled | AgentStatus::Skipped => &mut counts.stopped,
                },
            };
            *count += 1;
        }
        counts
    }
}

/// A tool's name as it may be shown.
pub fn tool_name(tool: &str) -> String {
    fit::cut(&inline(tool), WIDEST_TOOL).into_owned()
}

/// An error's message as it may be shown.
pub fn detail(text: &str) -> String {
    fit::cut(&inline(text), WIDEST_DETAIL).into_owned()
}

/// A call's arguments as they may be shown.
pub fn arguments(arguments: &serde_json::Value) -> String {
    detail(&fit::compact(arguments, WIDEST_DETAIL))
}
