//! The agents that others need, and the selection of agents to run.

use std::collections::{HashMap, HashSet};

use super::{check, graph};
use crate::config::faults::FaultLog;
use crate::config::file::AgentConfig;
use crate::config::place::Path;
use crate::text::quoted;

pub struct NeedsChecker<'a> {
    pub agents: &'a [(String, AgentConfig)],
    pub log: &'a FaultLog,
}

impl NeedsChecker<'_> {
    /// The indices of the agents that each agent needs.
    pub fn needs(&self) -> Vec<Vec<usize>> {
        let index: HashMap<&str, usize> =
            self.agents.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
        let root = Path::Root.key("agents");
        let of_agent = |(name, config): &(String, AgentConfig)| {
            self.of_agent(name, config, &root.key(name), &index)
        };
        let needs: Vec<_> = self.agents.iter().map(of_agent).collect();
        self.check_cycles(&needs);
        needs
    }

    fn of_agent(
        &self,
        name: &str,
        config: &AgentConfig,
        path: &Path<'_>,
        index: &HashMap<&str, usize>,
    ) -> Vec<usize> {
        let path = path.key("needs");
        let mut needs = Vec::new();
        let mut seen = HashSet::new();
        for (at, need) in config.needs.iter().flatten().enumerate() {
            let path = path.index(at);
            if need == name {
                let message = format!("agent {name:?} needs itself");
                self.log.value(&path, message, Some("remove it".to_owned()));
            } else if let Some(&found) = index.get(need.as_str()) {
                if seen.insert(found) {
                    needs.push(found);
                } else {
                    self.log.value(&path, format!("{need} is listed twice"), None);
                }
            } else {
                let message = format!("there is no agent {}", quoted(need));
                self.log.value(&path, message, self.similar(need));
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
            let at = listed
                .and_then(|listed| listed.iter().position(|need| Some(need.as_str()) == next));
            let agents = Path::Root.key("agents");
            let agent = agents.key(self.name(*first));
            let needs = agent.key("needs");
            self.log.value(&needs.index(at.unwrap_or(0)), message, hint);
        }
    }

    /// The agents to run, in the order of the file: the wanted ones and those they need.
    pub fn selected(&self, wanted: &[String], needs: &[Vec<usize>]) -> Vec<usize> {
        if wanted.is_empty() {
            return (0..self.agents.len()).collect();
        }
        let mut found = Vec::new();
        for name in wanted {
            match self.names().position(|agent| agent == name) {
                Some(agent) => found.push(agent),
                None => {
                    let message = format!("--agents: there is no agent {}", quoted(name));
                    self.log.unplaced(message, self.similar(name));
                }
            }
        }
        graph::closure(needs, &found)
    }

    /// A hint with the most similar name or with all names.
    fn similar(&self, name: &str) -> Option<String> {
        self.log.nearest(name, self.names()).or_else(|| check::known(self.names()))
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.agents.iter().map(|(name, _)| name.as_str())
    }

    fn name(&self, agent: usize) -> &str {
        self.agents.get(agent).map(|(name, _)| name.as_str()).unwrap_or_default()
    }
}
