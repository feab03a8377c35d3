//! What a run and an agent may use up, and what models cost.

use std::ops::Bound;

use super::{AgentPlan, ModelPlan};
use super::{check, glob};
use crate::config::faults::FaultLog;
use crate::config::file::{BudgetConfig, Entries, PriceConfig};
use crate::config::place::Path;
use crate::text::quoted;

const ABOVE_ZERO: (Bound<f64>, Bound<f64>) = (Bound::Excluded(0.0), Bound::Unbounded);

/// `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BudgetPlan {
    /// Read and written together.
    pub max_tokens: Option<u64>,
    /// In the unit of the file's prices.
    pub max_cost: Option<f64>,
    pub max_model_calls: Option<u64>,
    pub max_tool_calls: Option<u64>,
}

impl BudgetPlan {
    /// These, with what is given in their place.
    pub fn with(self, given: &BudgetConfig, path: &Path<'_>, log: &FaultLog) -> Self {
        let count = |key, given: Option<u64>, max, default| {
            let count = |value| check::whole(&value, 1..=max, &path.key(key), log);
            given.and_then(count).or(default)
        };
        let max_calls = 1 << 40;
        let cost = |cost| check::number(&cost, ABOVE_ZERO, &path.key("max_cost"), log);
        Self {
            max_tokens: count("max_tokens", given.max_tokens, 1 << 50, self.max_tokens),
            max_cost: given.max_cost.and_then(cost).or(self.max_cost),
            max_model_calls: count(
                "max_model_calls",
                given.max_model_calls,
                max_calls,
                self.max_model_calls,
            ),
            max_tool_calls: count(
                "max_tool_calls",
                given.max_tool_calls,
                max_calls,
                self.max_tool_calls,
            ),
        }
    }

    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Of a million tokens each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub input: f64,
    pub output: f64,
    pub cached_input: f64,
}

/// By pattern, in the order of the file.
#[derive(Debug, Default)]
pub struct Prices(Vec<(String, Price)>);

impl Prices {
    pub fn check(given: Option<&Entries<PriceConfig>>, log: &FaultLog) -> Self {
        let root = Path::Root.key("prices");
        let entries = given.map(|entries| entries.0.as_slice()).unwrap_or_default();
        let price = |(pattern, config): &(String, PriceConfig)| {
            let path = root.key(pattern);
            let amount = |key, given: Option<f64>| {
                given.and_then(|amount| check::number(&amount, 0.0.., &path.key(key), log))
            };
            if config.input.is_none() || config.output.is_none() {
                let hint = "such as {input: 0.15, output: 0.6}, per million tokens".to_owned();
                let message = format!("the price of {} is not whole", quoted(pattern));
                log.key(&path, message, Some(hint));
            }
            let input = amount("input", config.input).unwrap_or_default();
            let output = amount("output", config.output).unwrap_or_default();
            let cached_input = amount("cached_input", config.cached_input).unwrap_or(input);
            let price = Price { input, output, cached_input };
            (pattern.clone(), price)
        };
        Self(entries.iter().map(price).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Of a model as a user writes it: the first pattern that fits. `offline` costs nothing.
    pub fn of(&self, model: &ModelPlan) -> Option<Price> {
        if *model == ModelPlan::Offline {
            let free = Price { input: 0.0, output: 0.0, cached_input: 0.0 };
            return (!self.0.is_empty()).then_some(free);
        }
        let found = self.0.iter().find(|(pattern, _)| glob::matches(pattern, model.label()));
        found.map(|(_, price)| *price)
    }

    /// Notes a limit of cost that cannot be kept: a model it is about has no price.
    pub fn cover(&self, agents: &[AgentPlan], run: BudgetPlan, log: &FaultLog) {
        let mut noted = Vec::new();
        for agent in agents {
            if run.max_cost.is_none() && agent.settings.budget.max_cost.is_none() {
                continue;
            }
            for model in agent.models() {
                let label = model.label();
                if *model == ModelPlan::Offline
                    || self.of(model).is_some()
                    || noted.contains(&label)
                {
                    continue;
                }
                noted.push(label);
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
