//! What model calls cost, as far as it is known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sum of costs, in the unit of the file's prices, and the number of calls that it lacks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "CostFields", into = "CostFields")]
pub struct Cost {
    /// `None` if the cost of no call is known.
    pub known: Option<f64>,
    pub unpriced_calls: u64,
}

impl Cost {
    /// The sum, if the cost of every call is known: part of a cost would be read as all of it.
    pub fn whole(self) -> Option<f64> {
        self.known.filter(|_| self.unpriced_calls == 0)
    }

    /// This sum and one more call; `None` if its cost is not known.
    #[must_use]
    pub fn with_call(self, cost: Option<f64>) -> Self {
        let mut sum = self;
        sum += Self { known: cost, unpriced_calls: cost.is_none().into() };
        sum
    }
}

impl std::ops::AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.known = match (self.known, other.known) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        self.unpriced_calls = self.unpriced_calls.saturating_add(other.unpriced_calls);
    }
}

/// The fields of a usage in a report.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct CostFields {
    /// Only where the cost of every call is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    /// The cost of some calls, where that of others is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial_cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unpriced_calls: Option<u64>,
}

impl From<Cost> for CostFields {
    fn from(Cost { known, unpriced_calls }: Cost) -> Self {
        match unpriced_calls {
            0 => Self { cost: known, ..Self::default() },
            calls => Self { cost: None, partial_cost: known, unpriced_calls: Some(calls) },
        }
    }
}

impl From<CostFields> for Cost {
    fn from(fields: CostFields) -> Self {
        Self {
            known: fields.cost.or(fields.partial_cost),
            unpriced_calls: fields.unpriced_calls.unwrap_or_default(),
        }
    }
}
