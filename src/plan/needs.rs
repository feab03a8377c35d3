//! The agents that others need, and the selection of agents to run.

use std::collections::HashMap;

use super::agent_plan::Need;
use super::overrides::Overrides;
use super::{check, graph, selection};
use crate::config::faults::FaultLog;
use crate::config::file::AgentConfig;
use crate::config::flow::{NeedConfig, NeedsConfig};
use crate::config::place::Path;
use crate::text::quoted;

pub struct NeedsChecker<'a> {
    pub agents: &'a [(String, AgentConfig)],
    pub log: &'a FaultLog,
}

impl NeedsChecker<'_> {
    /// The agents that each agent needs.
    pub fn needs(&self) -> Vec<Vec<Need>> {
        let index: HashMap<&str, usize> =
            self.agents.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
        let root = Path::Root.key("agents");
        let of_agent = |(name, config): &(String, AgentConfig)| {
            self.of_agent(name, config, &root.key(name), &index)
        };
        let needs: Vec<_> = self.agents.iter().map(of_agent).collect();
        self.check_cycles(&indices(&needs));
        needs
    }

    fn of_agent(
        &self,
        name: &str,
        config: &AgentConfig,
        path: &Path<'_>,
        index: &HashMap<&str, usize>,
    ) -> Vec<Need> {
        let path = path.key("needs");
        let mut needs: Vec<Need> = Vec::new();
        let Some(config) = &config.needs else { return needs };
        for (at, (need, condition)) in config.needs.iter().enumerate() {
            let place = if config.is_list { path.index(at) } else { path.key(need) };
            let note = |message, hint| match config.is_list {
                true => self.log.value(&place, message, hint),
                false => self.log.key(&place, message, hint),
            };
            if need == name {
                note(format!("agent {name:?} needs itself"), Some("remove it".to_owned()));
            } else if let Some(&agent) = index.get(need.as_str()) {
                if needs.iter().any(|need| need.agent == agent) {
                    note(format!("{need} is listed twice"), None);
                } else {
                    needs.push(Need { agent, done: *condition == NeedConfig::Done });
                }
            } else {
                note(format!("there is no agent {}", quoted(need)), self.similar(need));
            }
        }
        needs
    }

    fn check_cycles(&self, needs: &[Vec<usize>]) {
        for cycle in graph::cycles(needs) {
            let [first, rest @ ..] = &cycle[..] else { continue };
            let names = graph::describe(&cycle, |agent| self.name(agent).to_owned());
            let message = format!("these agents need each other: {names}");
            let hint = Some("remove one of them from the needs of another".to_owned());
            let next = rest.first().map(|&next| self.name(next));
            let listed = self.agents.get(*first).and_then(|(_, config)| config.needs.as_ref());
            let at = listed.and_then(|listed| listed.names().position(|need| Some(need) == next));
            let agents = Path::Root.key("agents");
            let agent = agents.key(self.name(*first));
            let needs = agent.key("needs");
            match (listed, next) {
                (Some(NeedsConfig { is_list: false, .. }), Some(next)) => {
                    self.log.key(&needs.key(next), message, hint);
                }
                _ => self.log.value(&needs.index(at.unwrap_or(0)), message, hint),
            }
        }
    }

    /// The agents to run, in the order of the file: the wanted ones and those they need.
    pub fn selected(&self, overrides: &Overrides, needs: &[Vec<Need>]) -> Vec<usize> {
        let Overrides { agents: wanted, earlier_agents, .. } = overrides;
        if wanted.is_empty() {
            return (0..self.agents.len()).collect();
        }
        let unmatched: Vec<&str> = selection::unmatched(wanted, self.names()).collect();
        let is_wanted = |agent: &usize| selection::is_selected(wanted, self.name(*agent));
        let found: Vec<usize> = (0..self.agents.len()).filter(is_wanted).collect();
        for item in unmatched.iter().filter(|_| !earlier_agents || found.is_empty()) {
            let message = format!("--agents: there is no agent {}", quoted(item));
            self.log.unplaced(message, self.similar(item));
        }
        let selected = graph::closure(&indices(needs), &found);
        self.check_exclusions(wanted, needs, &selected);
        if selected.is_empty() && unmatched.is_empty() {
            let wanted = wanted.join(",");
            self.log.unplaced(format!("--agents: {} leaves no agent", quoted(&wanted)), None);
        }
        selected
    }

    /// Logs the agents that are excluded although another one needs them.
    fn check_exclusions(&self, wanted: &[String], needs: &[Vec<Need>], selected: &[usize]) {
        let excluded: Vec<String> =
            wanted.iter().filter(|item| selection::is_exclusion(item)).cloned().collect();
        for &agent in selected {
            let name = self.name(agent);
            let by = selected.iter().find(|&&other| {
                needs.get(other).is_some_and(|needs| needs.iter().any(|need| need.agent == agent))
            });
            let by = by.map(|&other| self.name(other));
            if let (false, Some(by)) = (selection::is_selected(&excluded, name), by) {
                let message = format!("--agents: {name} is excluded, but {by} needs it");
                self.log.unplaced(message, Some(format!("exclude {by}, too: '!{by}'")));
            }
        }
    }

    /// A hint with the most similar name or with all names.
    fn similar(&self, name: &str) -> Option<String> {
        self.log.nearest(name, self.names()).or_else(|| check::known(self.names()))
    }

    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.agents.iter().map(|(name, _)| name.as_str())
    }

    fn name(&self, agent: usize) -> &str {
        self.agents.get(agent).map(|(name, _)| name.as_str()).unwrap_or_default()
    }
}

/// The indices of the agents that each agent needs.
fn indices(needs: &[Vec<Need>]) -> Vec<Vec<usize>> {
    needs.iter().map(|needs| needs.iter().map(|need| need.agent).collect()).collect()
}
