//! Whom each agent needs, and which agents run.

use std::collections::HashMap;

use super::build::Builder;
use super::{Need, graph};
use crate::config::file::AgentConfig;
use crate::config::flow::{NeedConfig, NeedsConfig};
use crate::config::place::Path;
use crate::text::quoted;

impl Builder<'_> {
    /// Whom each agent needs.
    pub(super) fn needs(&self, index: &HashMap<&str, usize>) -> Vec<Vec<Need>> {
        let root = Path::Root.key("agents");
        let agents = self.agent_entries().iter();
        let needs: Vec<Vec<Need>> = agents
            .map(|(name, config)| self.needs_of(name, config, &root.key(name), index))
            .collect();
        self.cycles(&indices(&needs));
        needs
    }

    fn needs_of(
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
                let names = self.agent_entries().iter().map(|(name, _)| name.as_str());
                let message = format!("there is no agent {}", quoted(need));
                note(message, self.log.nearest(need, names));
            }
        }
        needs
    }

    fn cycles(&self, needs: &[Vec<usize>]) {
        let agents = self.agent_entries();
        let name =
            |agent: usize| agents.get(agent).map(|(name, _)| name.as_str()).unwrap_or_default();
        for cycle in graph::cycles(needs) {
            let (Some(&first), next) = (cycle.first(), cycle.get(1)) else { continue };
            let names = graph::describe(&cycle, |agent| name(agent).to_owned());
            let message = format!("these agents wait for each other: {names}");
            let hint = Some("take one of them out of the other's needs".to_owned());
            let listed = agents.get(first).and_then(|(_, config)| config.needs.as_ref());
            let next = next.map(|&next| name(next));
            let at = listed.and_then(|listed| listed.names().position(|need| Some(need) == next));
            let (root, list) = (Path::Root.key("agents"), name(first));
            let list = root.key(list);
            let list = list.key("needs");
            match (listed, next) {
                (Some(NeedsConfig { is_list: false, .. }), Some(next)) => {
                    self.log.key(&list.key(next), message, hint);
                }
                _ => self.log.value(&list.index(at.unwrap_or(0)), message, hint),
            }
        }
    }

    /// The agents that run, in the order of the file.
    pub(super) fn selected(&self, needs: &[Vec<Need>]) -> Vec<usize> {
        let agents = self.agent_entries();
        if self.overrides.agents.is_empty() {
            return (0..agents.len()).collect();
        }
        let mut wanted = Vec::new();
        for name in &self.overrides.agents {
            match agents.iter().position(|(agent, _)| agent == name) {
                Some(found) => wanted.push(found),
                None => {
                    let names = agents.iter().map(|(name, _)| name.as_str());
                    let message = format!("--agents: there is no agent {}", quoted(name));
                    self.log.unplaced(message, self.log.nearest(name, names));
                }
            }
        }
        graph::closure(&indices(needs), &wanted)
    }
}

/// The agents that each agent needs.
fn indices(needs: &[Vec<Need>]) -> Vec<Vec<usize>> {
    needs.iter().map(|needs| needs.iter().map(|need| need.agent).collect()).collect()
}
