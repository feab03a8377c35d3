//! The result of a crew: the agent whose answer is the crew's, and the condition of failure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use secrecy::SecretString;

use super::agent_plan::AgentPlan;
use super::build::Builder;
use super::crew_plan::FailIfPlan;
use super::facts::{AgentFacts, Agents, Data};
use super::output_schema::OutputSchemas;
use super::scope::Scope;
use super::{flow, step};
use crate::config::file::AgentConfig;
use crate::config::flow::ParseConfig;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::secret::{is_telling, names_a_secret};
use crate::structured::Schema;
use crate::template::Vars;
use crate::text::quoted;

impl Builder<'_> {
    /// The schemas of structured answers; `None` for a schema with faults.
    pub(super) fn schemas(&self, schemas: &OutputSchemas) -> HashMap<&str, Option<Arc<Schema>>> {
        let root = Path::Root.key("agents");
        let schema = |(name, config): &'_ (String, AgentConfig)| {
            let path = root.key(name);
            let schema = config.output_schema.as_ref()?;
            Some(schemas.check(schema, &path.key("output_schema"), self.log))
        };
        let agents = self.agents().iter();
        agents.filter_map(|entry| Some((entry.0.as_str(), schema(entry)?))).collect()
    }

    /// What templates can know of the agents.
    pub(super) fn facts(&self, schemas: &HashMap<&str, Option<Arc<Schema>>>) -> Agents<'_> {
        let data = |name: &str, parse| match (schemas.get(name), parse) {
            (Some(Some(schema)), _) => Data::Schema(schema.clone()),
            (Some(None), _) | (None, Some(ParseConfig::Json)) => Data::Any,
            (None, Some(ParseConfig::Lines)) => Data::Lines,
            (None, Some(ParseConfig::Text) | None) => Data::Nothing,
        };
        let mut facts = Agents::new();
        for (name, config) in self.agents() {
            let data = data(name, config.parse);
            let (has_model, items) = (!step::is_step(config), config.for_each.as_ref());
            facts.insert(name, AgentFacts { data, has_model, items });
        }
        facts
    }

    /// The agent whose answer is the crew's, if it was selected, and the condition under which the
    /// run fails.
    pub(super) fn result(
        &self,
        agents: &[AgentPlan],
        vars: &Vars,
        facts: &Agents<'_>,
    ) -> (Option<usize>, Option<FailIfPlan>) {
        let output = match &self.crew.output {
            Some(name) => {
                if !facts.contains_key(name.as_str()) {
                    let names = self.agents().iter().map(|(name, _)| name.as_str());
                    let message = format!("there is no agent {}", quoted(name));
                    let hint = self.log.nearest(name, names);
                    self.log.value(&Path::Root.key("output"), message, hint);
                }
                agents.iter().position(|agent| agent.name == *name)
            }
            None => {
                let needed: HashSet<usize> =
                    agents.iter().flat_map(|agent| &agent.needs).map(|need| need.agent).collect();
                let mut last = (0..agents.len()).filter(|agent| !needed.contains(agent));
                last.next().filter(|_| last.next().is_none())
            }
        };
        let needed: Vec<&str> = facts.keys().copied().collect();
        let scope = Scope::Agent { vars, own: None, needed: &needed, agents: facts, more: &[] };
        let path = Path::Root.key("fail_if");
        let condition = flow::condition(self.crew.fail_if.as_ref(), &scope, &path, self.log);
        let fail_if = condition.map(|condition| {
            let is_selected = |name: &str| agents.iter().any(|agent| agent.name == name);
            let mut unselected: Vec<String> = Vec::new();
            for name in condition.paths() {
                if let ["agents", agent, ..] = name.parts[..]
                    && !is_selected(agent)
                    && !unselected.iter().any(|known| known == agent)
                {
                    unselected.push(agent.to_owned());
                }
            }
            FailIfPlan { condition, unselected }
        });
        (output, fail_if)
    }

    /// The values to be redacted: those of variables that hold keys or may be secrets, and those of
    /// all providers, whether an agent uses them or not.
    pub(super) fn secrets(&self, agents: &[AgentPlan]) -> Vec<SecretString> {
        let passed_on = agents.iter().flat_map(AgentPlan::programs).flat_map(|plan| &plan.env);
        let passed_on = passed_on.filter(|name| names_a_secret(name));
        let values = self.keys.iter().chain(passed_on).filter_map(|name| (self.env)(name));
        let providers = Entries::of(self.crew.providers.as_ref()).iter().map(|(_, config)| config);
        let settings = providers.flat_map(|config| [&config.headers, &config.query]);
        let settings = settings.flat_map(|entries| Entries::of(entries.as_ref()));
        let given = settings.filter(|(name, _)| is_telling(name)).map(|(_, value)| value.clone());
        let values = values.chain(given).map(SecretString::from);
        self.crew.secrets.iter().cloned().chain(values).collect()
    }
}
