//! The models of the selected agents, and the providers that serve them.

use super::agent_plan::ModelPlan;
use super::check::Origin;
use super::endpoint::{Endpoints, ModelName};
use super::provider::ProviderPlan;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::place::Path;

/// Where an agent's model was chosen.
pub enum ModelOrigin<'a> {
    Option,
    Defaults,
    Agent(&'a str),
}

/// The providers in use, each resolved once.
pub struct UsedProviders<'a> {
    endpoints: &'a Endpoints,
    env: Env<'a>,
    log: &'a FaultLog,
    /// By name. `None` for a provider with a fault.
    found: Vec<(String, Option<ProviderPlan>)>,
}

impl<'a> UsedProviders<'a> {
    pub fn new(endpoints: &'a Endpoints, env: Env<'a>, log: &'a FaultLog) -> Self {
        Self { endpoints, env, log, found: Vec::new() }
    }

    pub fn model(&mut self, model: ModelName, origin: &ModelOrigin<'_>) -> ModelPlan {
        let ModelName::Remote { provider: name, model } = model else { return ModelPlan::Offline };
        let known = self.found.iter().position(|(found, _)| *found == name);
        let provider = known.unwrap_or_else(|| {
            let plan = self.resolve(&name, origin);
            self.found.push((name.clone(), plan));
            self.found.len() - 1
        });
        ModelPlan::Remote { provider, label: format!("{name}/{model}"), model }
    }

    fn resolve(&self, name: &str, origin: &ModelOrigin<'_>) -> Option<ProviderPlan> {
        let resolve =
            |origin: &Origin<'_>| self.endpoints.resolve(name, origin, self.env, self.log);
        match origin {
            ModelOrigin::Option => resolve(&Origin::Option("--model")),
            ModelOrigin::Defaults => {
                let defaults = Path::Root.key("defaults");
                resolve(&Origin::File(&defaults.key("model")))
            }
            ModelOrigin::Agent(name) => {
                let agents = Path::Root.key("agents");
                let agent = agents.key(name);
                resolve(&Origin::File(&agent.key("model")))
            }
        }
    }

    pub fn into_plans(self) -> Vec<ProviderPlan> {
        self.found.into_iter().filter_map(|(_, plan)| plan).collect()
    }
}
