//! The prices of models.

use super::agent_plan::{AgentPlan, ModelPlan};
use super::budget::BudgetPlan;
use super::price::Price;
use super::price_list::PriceList;
use super::{check, glob};
use crate::config::faults::FaultLog;
use crate::config::file::{PriceConfig, PricesConfig};
use crate::config::place::Path;
use crate::text::quoted;

/// The prices of models.
#[derive(Debug, Default)]
pub struct Prices {
    /// By pattern of the model, in the order of the file. They win over the list.
    patterns: Vec<(String, Price)>,
    list: Option<PriceList>,
}

impl Prices {
    pub fn check(given: Option<&PricesConfig>, log: &FaultLog) -> Self {
        let Some(given) = given else { return Self::default() };
        let root = Path::Root.key("prices");
        let path = root.key("file");
        let list = given.file.as_ref().and_then(|file| {
            let read = PriceList::read(&log.sources.folder(&path).join(file));
            read.map_err(|why| log.value(&path, why, None)).ok()
        });
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
        Self { patterns: given.models.0.iter().map(price).collect(), list }
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty() && self.list.is_none()
    }

    /// The price of a model, from the first pattern that fits its label, or from the list.
    /// `offline` is free.
    pub fn of(&self, model: &ModelPlan) -> Option<Price> {
        if *model == ModelPlan::Offline {
            return (!self.is_empty()).then_some(Price::FREE);
        }
        let mut patterns = self.patterns.iter();
        let own = patterns.find(|(pattern, _)| glob::matches(pattern, model.label()));
        let listed = || self.list.as_ref().and_then(|list| list.of(model.label()));
        own.map(|(_, price)| *price).or_else(listed)
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
