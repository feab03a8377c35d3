//! The state of every agent, updated by the events of the run. It is complete, however slow the
//! terminal is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::plan::{AgentPlan, CrewPlan, ModelPlan};
use crate::provider::ChatRequest;
use crate::render::{fit, words};
use crate::report::{
    AgentReport, AgentRunId, AgentStatus, CancelKind, CancelReason, Event, LiveAnswer, Usage,
};
use crate::secret::Secrets;
use crate::text::inline;

/// Columns of the name of a tool, which a model may have made up.
const MAX_TOOL: usize = 40;
/// Columns of an error or of arguments.
pub const MAX_DETAIL: usize = 200;
/// Names of agents that another one waits for.
const MAX_NAMES: usize = 3;

/// What is known of an agent before it starts.
#[derive(Debug, Clone, Default)]
pub struct Planned {
    pub name: String,
    pub model: String,
    /// The places of the agents that it needs.
    pub needs: Vec<usize>,
}

/// The crew that a board shows.
#[derive(Debug, Clone, Default)]
pub struct Crew {
    pub name: String,
    /// In the plan's order.
    pub agents: Vec<Planned>,
    /// Taken out of what agents write.
    pub secrets: Arc<Secrets>,
}

/// The crew of a plan.
pub fn crew(plan: &CrewPlan, secrets: Arc<Secrets>) -> Crew {
    let planned = |agent: &AgentPlan| Planned {
        name: inline(&agent.name).into_owned(),
        model: agent.models().next().map_or("step", ModelPlan::label).to_owned(),
        needs: agent.needs.iter().map(|need| need.agent).collect(),
    };
    let name = inline(&plan.name).into_owned();
    Crew { name, agents: plan.agents.iter().map(planned).collect(), secrets }
}

/// The name of a running check among the tools of its agent; no tool can have it.
const CHECK: &str = " check";

#[derive(Debug)]
pub struct Board {
    /// When the run started.
    pub started: Instant,
    pub crew: String,
    pub agents: Vec<Agent>,
    pub secrets: Arc<Secrets>,
    /// The line about the stop of the run.
    pub stopping: Option<String>,
    verbose: bool,
}

#[derive(Debug)]
pub struct Agent {
    pub name: String,
    pub model: String,
    /// The places of the agents that it needs.
    needs: Vec<usize>,
    pub phase: Phase,
    pub started: Option<Instant>,
    pub usage: Usage,
    /// The running ones, in the order in which they started.
    pub tools: Vec<Tool>,
    /// The place of its agent, if it is an instance.
    parent: Option<usize>,
    /// Its instances, once it is known how many there are.
    pub instances: usize,
    /// Those that have no row yet.
    open_instances: usize,
    /// Those that have ended.
    pub ended_instances: Counts,
}

#[derive(Debug)]
pub struct Tool {
    name: String,
    /// The name and, if verbose, the arguments.
    pub label: String,
    pub started: Instant,
}

#[derive(Debug)]
pub enum Phase {
    Waiting,
    Starting,
    /// Between a model's answer and what follows from it.
    Working,
    Calling {
        turn: u32,
        answer: Arc<LiveAnswer>,
    },
    /// `until`: when the wait ends at the latest, if that is known, else in the past.
    Queued {
        reason: &'static str,
        until: Instant,
    },
    Retrying {
        until: Instant,
        error: String,
    },
    Finished {
        status: AgentStatus,
        took: Duration,
        error: Option<String>,
    },
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

impl Counts {
    /// Counts an agent that has ended.
    fn add(&mut self, status: AgentStatus) {
        let count = match status {
            AgentStatus::Succeeded => &mut self.succeeded,
            AgentStatus::Failed | AgentStatus::TimedOut => &mut self.failed,
            AgentStatus::Cancelled | AgentStatus::Skipped => &mut self.stopped,
        };
        *count += 1;
    }
}

impl Agent {
    fn waiting(planned: Planned) -> Self {
        Self {
            name: planned.name,
            model: planned.model,
            needs: planned.needs,
            phase: Phase::Waiting,
            started: None,
            usage: Usage::default(),
            tools: vec![],
            parent: None,
            instances: 0,
            open_instances: 0,
            ended_instances: Counts::default(),
        }
    }
}

impl Board {
    pub fn new(crew: Crew, verbose: bool) -> Self {
        let Crew { name, agents, secrets } = crew;
        let agents = agents.into_iter().map(Agent::waiting).collect();
        let started = Instant::now();
        Self { started, crew: name, agents, secrets, stopping: None, verbose }
    }

    pub fn apply(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Stopping { reason, grace } => {
                self.stopping = Some(stopping(reason, *grace));
            }
            Event::AgentStarted { agent } => self.with(*agent, |agent| {
                agent.started = Some(now);
                agent.phase = Phase::Starting;
            }),
            Event::ModelCallStarted { agent, turn, answer } => self.with(*agent, |agent| {
                agent.phase = Phase::Calling { turn: *turn, answer: Arc::clone(answer) };
            }),
            Event::Queued { agent, reason, wait } => self.with(*agent, |agent| {
                let until = now.checked_add(*wait).unwrap_or(now);
                agent.phase = Phase::Queued { reason, until };
            }),
            Event::FellBack { agent, to, .. } => self.with(*agent, |agent| {
                agent.model = inline(to).into_owned();
                agent.phase = Phase::Starting;
            }),
            Event::Tokens { agent, usage } => self.with(*agent, |agent| {
                agent.usage = *usage;
                agent.phase = Phase::Working;
            }),
            Event::Retrying { agent, delay, error, .. } => self.with(*agent, |agent| {
                let until = now.checked_add(*delay).unwrap_or(now);
                agent.phase = Phase::Retrying { until, error: detail(error) };
            }),
            Event::ToolStarted { agent, tool, arguments } => {
                let label = tool_label(tool, arguments, self.verbose);
                self.with(*agent, |agent| agent.start(tool_name(tool), label, now));
            }
            Event::ToolFinished { agent, tool, .. } => {
                self.with(*agent, |agent| agent.stop(&tool_name(tool)));
            }
            Event::Transcript { .. } => {}
            Event::InstancesKnown { agent, count } => {
                self.with(*agent, |agent| {
                    (agent.instances, agent.open_instances) = (*count, *count);
                });
            }
            Event::InstanceAdded { agent, instance, key } => self.add(*agent, *instance, key),
            Event::StepStarted { agent, program } => {
                self.with(*agent, |agent| agent.start(String::new(), tool_name(program), now));
            }
            Event::CheckStarted { agent, program } => {
                let label = format!("check {}", tool_name(program));
                self.with(*agent, |agent| agent.start(CHECK.to_owned(), label, now));
            }
            Event::CheckFinished { agent, .. } => self.with(*agent, |agent| agent.stop(CHECK)),
            Event::AgentFinished { agent, status, duration, message, reason } => {
                let skipped = || reason.as_ref().filter(|_| *status == AgentStatus::Skipped);
                let why = message.as_deref().map(detail);
                let why = why.or_else(|| skipped().map(words::reason));
                self.finish(*agent, *status, *duration, why);
            }
            Event::AgentReused { agent, status } => {
                self.finish(*agent, *status, Duration::ZERO, None);
            }
        }
    }

    /// A row for an instance. Ids are given in the order in which instances are added.
    fn add(&mut self, agent: AgentRunId, instance: AgentRunId, key: &str) {
        let Some(parent) = self.agents.get_mut(agent.0) else { return };
        parent.open_instances = parent.open_instances.saturating_sub(1);
        let name = AgentReport::instance_name(&parent.name, &tool_name(key));
        let planned = Planned { name, model: parent.model.clone(), needs: Vec::new() };
        if instance.0 == self.agents.len() {
            self.agents.push(Agent { parent: Some(agent.0), ..Agent::waiting(planned) });
        }
    }

    fn finish(
        &mut self,
        agent: AgentRunId,
        status: AgentStatus,
        took: Duration,
        why: Option<String>,
    ) {
        let Some(ended) = self.agents.get_mut(agent.0) else { return };
        ended.finish(status, took, why);
        if let Some(parent) = ended.parent.and_then(|parent| self.agents.get_mut(parent)) {
            parent.ended_instances.add(status);
        }
    }

    fn with(&mut self, agent: AgentRunId, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(agent.0) {
            change(agent);
        }
    }

    /// What an agent that has not started waits for: `after disk, net`.
    pub fn waits_for(&self, agent: &Agent) -> String {
        let needed = agent.needs.iter().filter_map(|&needed| self.agents.get(needed));
        let open = needed.filter(|needed| !matches!(needed.phase, Phase::Finished { .. }));
        let names: Vec<&str> = open.map(|needed| needed.name.as_str()).collect();
        match names.is_empty() {
            true => "waiting for a place (max_parallel)".to_owned(),
            false => format!("after {}", words::names(names, MAX_NAMES)),
        }
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for agent in &self.agents {
            match agent.phase {
                Phase::Waiting => counts.waiting += 1,
                Phase::Starting
                | Phase::Working
                | Phase::Calling { .. }
                | Phase::Queued { .. }
                | Phase::Retrying { .. } => counts.running += 1,
                Phase::Finished { status, .. } => counts.add(status),
            }
            // What is left of them when their agent has ended never starts.
            match agent.phase {
                Phase::Finished { .. } => counts.stopped += agent.open_instances,
                _ => counts.waiting += agent.open_instances,
            }
        }
        counts
    }

    /// The number of agents and of their instances, as far as they are known.
    pub fn total(&self) -> usize {
        self.agents.iter().map(|agent| 1 + agent.open_instances).sum()
    }
}

impl Agent {
    fn start(&mut self, name: String, label: String, now: Instant) {
        self.tools.push(Tool { name, label, started: now });
    }

    /// Removes the tool that has run for longest under this name. A rejected call never started.
    fn stop(&mut self, name: &str) {
        if let Some(index) = self.tools.iter().position(|tool| tool.name == name) {
            self.tools.remove(index);
        }
    }

    fn finish(&mut self, status: AgentStatus, took: Duration, error: Option<String>) {
        self.phase = Phase::Finished { status, took, error };
        self.tools.clear();
    }

    pub fn is_running(&self) -> bool {
        !matches!(self.phase, Phase::Waiting | Phase::Finished { .. })
    }

    pub fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Finished { status, .. } if status.is_failure())
    }

    /// The answer that is being written.
    pub fn answer(&self) -> Option<&LiveAnswer> {
        match &self.phase {
            Phase::Calling { answer, .. } if answer.bytes() > 0 => Some(answer),
            _ => None,
        }
    }

    /// The approximate tokens of the answer that is being written, reasoning and calls included.
    pub fn tokens_being_written(&self) -> u64 {
        match &self.phase {
            Phase::Calling { answer, .. } => ChatRequest::tokens_in(answer.all_bytes()),
            _ => 0,
        }
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
