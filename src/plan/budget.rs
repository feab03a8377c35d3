//! The budget of a run or an agent.

use std::ops::Bound;

use super::check;
use crate::config::faults::FaultLog;
use crate::config::file::BudgetConfig;
use crate::config::place::Path;

const ABOVE_ZERO: (Bound<f64>, Bound<f64>) = (Bound::Excluded(0.0), Bound::Unbounded);

/// The maximum of each resource. `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BudgetPlan {
    /// Input and output tokens together.
    pub max_tokens: Option<u64>,
    /// In the unit of the file's prices.
    pub max_cost: Option<f64>,
    pub max_model_calls: Option<u64>,
    pub max_tool_calls: Option<u64>,
}

impl BudgetPlan {
    /// These limits, except where the file gives others.
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
