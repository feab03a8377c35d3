//! The prices of models.

use super::agent_plan::{AgentPlan, ModelPlan};
use super::budget::BudgetPlan;
use super::{check, glob};
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, PriceConfig};
use crate::config::place::Path;
use crate::text::quoted;

/// The price of a million tokens of each kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cached_input: f64,
    pub cache_write: f64,
}

/// Prices by pattern of the model, in the order of the file.
#[derive(Debug, Default)]
pub struct Prices(Vec<(String, Price)>);

impl Prices {
    pub fn check(given: Option<&Entries<PriceConfig>>, log: &FaultLog) -> Self {
        let root = Path::Root.key("prices");
        let price = |(pattern, config): &(String, PriceConfig)| {
            let path = root.key(pattern);
            let amount = |key, given: Option<f64>| {
                given.and_then(|amount| check::number(&amount, 0.0.., &path.key(key), log))
            };
            if config.input.is_none() || config.output.is_none() {
                let hint = "such as {input: 0.15, output: 0.6}, per million tokens".to_owned();
                let message = format!("the price of {} is incomplete", quoted(pattern));
                log.key(&path, message, Some(hint));
            }
            let input = amount("input", config.input).unwrap_or_default();
            let output = amount("output", config.output).unwrap_or_default();
            let cached_input = amount("cached_input", config.cached_input).unwrap_or(input);
            let cache_write = amount("cache_write", config.cache_write).unwrap_or(input);
            let price = Price { input, output, cached_input, cache_write };
            (pattern.clone(), price)
        };
        Self(Entries::of(given).iter().map(price).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The price of a model, from the first pattern that fits its label. `offline` is free.
    pub fn of(&self, model: &ModelPlan) -> Option<Price> {
        if *model == ModelPlan::Offline {
            let free = Price { input: 0.0, output: 0.0, cached_input: 0.0, cache_write: 0.0 };
            return (!self.0.is_empty()).then_some(free);
        }
        let found = self.0.iter().find(|(pattern, _)| glob::matches(pattern, model.label()));
        found.map(|(_, price)| *price)
    }

    /// Logs a cost limit that cannot be enforced because a model has no price.
    pub fn check_cover(&self, agents: &[AgentPlan], run: BudgetPlan, log: &FaultLog) {
        let mut logged = Vec::new();
        for agent in agents {
            if run.max_cost.is_none() && agent.settings.budget.max_cost.is_none() {
                continue;
            }
            for model in agent.models() {
                let label = model.label();
                if *model == ModelPlan::Offline
                    || self.of(model).is_some()
                    || logged.contains(&label)
                {
                    continue;
                }
                logged.push(label);
                let message = format!("max_cost needs a price for {}", quoted(label));
                let hint = format!("such as prices: {{{label}: {{input: 0.15, output: 0.6}}}}");
                let limits = Path::Root.key("limits");
                if run.max_cost.is_some() {
                    log.value(&limits.key("max_cost"), message, Some(hint));
                } else {
                    let agents = Path::Root.key("agents");
                    log.key(&agents.key(&agent.name), message, Some(hint));
                }
            }
        }
    }
}
