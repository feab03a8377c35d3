//! The state of every agent, updated by the events of the run. It is complete, however slow the
//! terminal is.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plan::{AgentPlan, CrewPlan};
use crate::render::{fit, words};
use crate::report::{AgentRunId, AgentStatus, CancelKind, CancelReason, Event, Usage};
use crate::text::inline;

/// Columns of the name of a tool, which a model may have made up.
const MAX_TOOL: usize = 40;
/// Columns of an error or of arguments.
const MAX_DETAIL: usize = 200;

/// What is known of an agent before it starts.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    pub name: String,
    pub model: String,
    /// The places of the agents that it needs.
    pub needs: Vec<usize>,
}

/// The agents of a plan, in its order.
pub fn agents(plan: &CrewPlan) -> Vec<Planned> {
    let planned = |agent: &AgentPlan| Planned {
        name: inline(&agent.name).into_owned(),
        model: inline(agent.model.label()).into_owned(),
        needs: agent.needs.clone(),
    };
    plan.agents.iter().map(planned).collect()
}

#[derive(Debug)]
pub struct Board {
    /// When the run started.
    pub started: Instant,
    pub agents: Vec<Agent>,
    /// The line about the stop of the run.
    pub stopping: Option<String>,
    verbose: bool,
}

#[derive(Debug)]
pub struct Agent {
    pub name: String,
    pub model: String,
    pub phase: Phase,
    pub started: Option<Instant>,
    pub usage: Usage,
    /// The running ones, in the order in which they started.
    pub tools: Vec<Tool>,
}

#[derive(Debug)]
pub struct Tool {
    name: String,
    /// The name and, if verbose, the arguments.
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

/// The numbers of agents by state.
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
    pub fn new(agents: Vec<Planned>, verbose: bool) -> Self {
        let agent = |planned: Planned| Agent {
            name: planned.name,
            model: planned.model,
            phase: Phase::Waiting,
            started: None,
            usage: Usage::default(),
            tools: vec![],
        };
        let agents = agents.into_iter().map(agent).collect();
        Self { started: Instant::now(), agents, stopping: None, verbose }
    }

    pub fn apply(&mut self, event: &Event, now: Instant) {
        let verbose = self.verbose;
        match event {
            Event::Stopping { reason, grace } => {
                self.stopping = Some(stopping(reason, *grace));
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
            Event::FellBack { agent, to, .. } => self.with(*agent, |agent| {
                agent.model = inline(to).into_owned();
                agent.phase = Phase::Starting;
            }),
            Event::Tokens { agent, usage } => self.with(*agent, |agent| agent.usage = *usage),
            Event::Retrying { agent, delay, error, .. } => self.with(*agent, |agent| {
                let until = now.checked_add(*delay).unwrap_or(now);
                agent.phase = Phase::Retrying { until, error: detail(error) };
            }),
            Event::ToolStarted { agent, tool, arguments } => self.with(*agent, |agent| {
                let name = tool_name(tool);
                let label = tool_label(tool, arguments, verbose);
                agent.tools.push(Tool { name, label });
            }),
            Event::ToolFinished { agent, tool, .. } => self.with(*agent, |agent| {
                let name = tool_name(tool);
                // A rejected call never started.
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

/// The name of a tool, safe to show and cut.
pub fn tool_name(tool: &str) -> String {
    fit::cut(&inline(tool), MAX_TOOL).into_owned()
}

/// The name of a tool and, if verbose, the arguments of the call.
pub fn tool_label(tool: &str, arguments: &Value, verbose: bool) -> String {
    let name = tool_name(tool);
    if verbose { format!("{name} {}", detail(&fit::compact(arguments, MAX_DETAIL))) } else { name }
}

/// An error message, safe to show and cut.
pub fn detail(text: &str) -> String {
    fit::cut(&inline(text), MAX_DETAIL).into_owned()
}

/// The line about the stop of the run, with the time that tools have left.
pub fn stopping(reason: &CancelReason, grace: Duration) -> String {
    let why = words::reason(reason);
    if grace.is_zero() {
        return format!("stopping: {why}");
    }
    let hint = match reason.kind {
        CancelKind::Interrupted => " (Ctrl-C again kills them)",
        _ => "",
    };
    format!("stopping: {why}; tools have {} to exit{hint}", words::limit(grace))
}
