//! What a run takes over from the report of an earlier one, and what it does again.

use std::collections::HashMap;

use serde_json::Value;

use crate::plan::{AgentPlan, CrewPlan};
use crate::report::{AgentReport, AgentStatus};

/// The reports that a run takes over.
#[derive(Debug, Default)]
pub struct Reuse {
    /// By the names of their agents.
    agents: HashMap<String, AgentReport>,
    /// The instances of agents that run again, by their names.
    instances: HashMap<String, AgentReport>,
}

/// Why an agent runs again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It did not end well, or an instance of it did not.
    Ended(AgentStatus),
    /// The parts of the crew that differ: `prompt of review`.
    Changed(Vec<String>),
    /// The earlier report does not have it.
    New,
    Selected,
    /// An agent that it needs runs again.
    Needs(String),
}

/// An earlier run, and what is wanted of it.
pub struct Earlier<'a> {
    /// Its agents, in any order.
    pub agents: Vec<AgentReport>,
    /// The agents to run again. If empty, those that did not end well or have changed.
    pub selected: &'a [String],
    /// The parts of the crew that an agent depends on and that have changed since.
    pub changes: &'a dyn Fn(&AgentPlan) -> Vec<String>,
}

impl Reuse {
    /// Decides what runs again: what is wanted, and every agent that needs one of these. Returns
    /// the rest for the next run, and the agents that run again by their indices in the plan.
    pub fn of(plan: &CrewPlan, earlier: Earlier<'_>) -> (Self, Vec<(usize, Why)>) {
        let Earlier { agents, selected, changes } = earlier;
        let mut reports: HashMap<String, AgentReport> =
            agents.into_iter().map(|report| (report.name.clone(), report)).collect();
        let own = plan.agents.iter().map(|agent| {
            let Some(report) = reports.get(&agent.name) else { return Some(Why::New) };
            let changed = changes(agent);
            if !changed.is_empty() {
                return Some(Why::Changed(changed));
            }
            let unfinished = report.with_instances().find(|report| !report.ended_well());
            unfinished.map(|report| Why::Ended(report.status))
        });
        let again = again(plan, own.collect(), selected);
        let mut reuse = Self::default();
        for (agent, why) in plan.agents.iter().zip(&again) {
            let Some(report) = reports.remove(&agent.name) else { continue };
            match why {
                None => _ = reuse.agents.insert(agent.name.clone(), taken_over(report)),
                // Its instances would get the same.
                Some(Why::Ended(_)) => {
                    let items = report.items.into_iter().flatten().filter(AgentReport::ended_well);
                    let items = items.map(|item| (item.name.clone(), taken_over(item)));
                    reuse.instances.extend(items);
                }
                Some(_) => {}
            }
        }
        let again = again.into_iter().enumerate();
        (reuse, again.filter_map(|(agent, why)| Some((agent, why?))).collect())
    }

    /// The report of an agent that does not run again.
    pub(super) fn agent(&self, name: &str) -> Option<&AgentReport> {
        self.agents.get(name)
    }

    /// The report of an instance, if it was for the same item. `item` is redacted.
    pub(super) fn instance(&self, name: &str, item: &Value) -> Option<&AgentReport> {
        self.instances.get(name).filter(|report| report.item.as_ref() == Some(item))
    }
}

/// Why each agent of the plan runs again. `own`: the reasons that lie in the agent itself.
fn again(plan: &CrewPlan, own: Vec<Option<Why>>, selected: &[String]) -> Vec<Option<Why>> {
    let waves = plan.waves();
    let mut again = own;
    if !selected.is_empty() {
        let own = again;
        let wanted = |(agent, own): (&AgentPlan, &Option<Why>)| match own {
            Some(Why::New) => Some(Why::New),
            _ => selected.contains(&agent.name).then_some(Why::Selected),
        };
        again = plan.agents.iter().zip(&own).map(wanted).collect();
        for &agent in waves.iter().rev().flatten() {
            let needs = plan.agents[agent].needs.iter().filter(|_| again[agent].is_some());
            let needs: Vec<usize> = needs.map(|need| need.agent).collect();
            for need in needs {
                again[need] = again[need].take().or_else(|| own[need].clone());
            }
        }
    }
    for &agent in waves.iter().flatten() {
        let need = plan.agents[agent].needs.iter().find(|need| again[need.agent].is_some());
        if let Some(need) = need
            && !matches!(again[agent], Some(Why::Changed(_) | Why::New | Why::Selected))
        {
            again[agent] = Some(Why::Needs(plan.agents[need.agent].name.clone()));
        }
    }
    again
}

/// A report for the next run, in which the agent does not start.
fn taken_over(report: AgentReport) -> AgentReport {
    let items = report.items.map(|items| items.into_iter().map(taken_over).collect());
    AgentReport { reused: true, started_ms: None, items, ..report }
}
