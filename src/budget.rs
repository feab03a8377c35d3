//! What an agent, a run, or all runs together may use up: reserved before each call, settled after
//! it.
//!
//! A call may start as long as something is left. What is not known before a call is estimated, and
//! where the calls that are under way may take all that is left, the next one waits until one of
//! them is settled. So however many run side by side, only one call can go over.

use std::fmt::Display;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::chat::TokenUsage;
use crate::plan::{BudgetPlan, Price};

/// What a model call takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Amount {
    pub calls: u64,
    pub tokens: u64,
    pub cost: f64,
}

impl Amount {
    /// Of one call.
    pub fn of(tokens: TokenUsage, price: Option<Price>) -> Self {
        Self {
            calls: 1,
            tokens: tokens.total(),
            cost: price.map_or(0.0, |price| cost(tokens, price)),
        }
    }
}

/// In the unit of the prices.
pub fn cost(tokens: TokenUsage, price: Price) -> f64 {
    let cached = tokens.cached_input_tokens.min(tokens.input_tokens);
    let written = tokens.cache_write_tokens.min(tokens.input_tokens - cached);
    let fresh = tokens.input_tokens - cached - written;
    let millionths = fresh as f64 * price.input
        + cached as f64 * price.cached_input
        + written as f64 * price.cache_write
        + tokens.output_tokens as f64 * price.output;
    millionths / 1e6
}

/// Before the name of an option.
const OPTION: &str = "--";

#[derive(Debug)]
pub struct Budget {
    /// What a user writes before the name of a limit.
    prefix: &'static str,
    plan: BudgetPlan,
    spent: Mutex<Spent>,
    /// Held by the first of those that wait.
    gate: tokio::sync::Mutex<()>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Spent {
    settled: Amount,
    /// Of the calls that are not settled.
    reserved: Amount,
    tool_calls: u64,
}

impl Budget {
    pub fn of_run(plan: BudgetPlan) -> Self {
        Self::new("limits.", plan)
    }

    pub fn of_agent(plan: BudgetPlan) -> Self {
        Self::new("the agent's limits.", plan)
    }

    /// The budget of all runs on the same services, of which `spent` is gone.
    pub fn of_all_runs(plan: BudgetPlan, spent: Amount) -> Self {
        let budget = Self::new(OPTION, plan);
        budget.spent.lock().settled = spent;
        budget
    }

    /// Whether a call may still start, as far as is known.
    ///
    /// # Errors
    /// The budget is used up. The message names the limit.
    pub fn check(&self) -> Result<(), String> {
        self.left(&self.spent.lock())
    }

    fn new(prefix: &'static str, plan: BudgetPlan) -> Self {
        let (spent, gate, changed) = Default::default();
        Self { prefix, plan, spent, gate, changed }
    }

    /// Waits until a call of about this amount may start. Dropped, it leaves the queue.
    ///
    /// # Errors
    /// The budget is used up. The message names the limit.
    pub async fn reserve(&self, about: Amount) -> Result<Reservation<'_>, String> {
        if self.plan.is_none() {
            return Ok(Reservation { budget: self, about, settled: true });
        }
        let _first = self.gate.lock().await;
        loop {
            let changed = self.changed.notified();
            {
                let mut spent = self.spent.lock();
                self.left(&spent)?;
                if self.has_room(&spent, about) {
                    spent.reserved = sum(spent.reserved, about);
                    return Ok(Reservation { budget: self, about, settled: false });
                }
            }
            changed.await;
        }
    }

    /// Takes this many tool calls at once.
    ///
    /// # Errors
    /// Fewer are left. The message names the limit.
    pub fn take_tool_calls(&self, calls: u64) -> Result<(), String> {
        let mut spent = self.spent.lock();
        let after = spent.tool_calls.saturating_add(calls);
        if let Some(most) = self.plan.max_tool_calls.filter(|most| after > *most) {
            return Err(format!(
                "{}max_tool_calls is used up: {} of {most} were made, and {calls} more asked for",
                self.prefix, spent.tool_calls
            ));
        }
        spent.tool_calls = after;
        Ok(())
    }

    fn left(&self, spent: &Spent) -> Result<(), String> {
        let Spent { settled, reserved, .. } = spent;
        let BudgetPlan { max_tokens, max_cost, max_model_calls, .. } = self.plan;
        let whole = |key, used: u64, most: Option<u64>| match most {
            Some(most) if used >= most => Err(self.used_up(key, used, most)),
            _ => Ok(()),
        };
        // A call under way is one, whatever comes of it.
        whole("max_model_calls", settled.calls + reserved.calls, max_model_calls)?;
        whole("max_tokens", settled.tokens, max_tokens)?;
        match max_cost {
            Some(most) if settled.cost >= most => {
                Err(self.used_up("max_cost", format_args!("{:.6}", settled.cost), most))
            }
            _ => Ok(()),
        }
    }

    fn used_up(&self, key: &str, used: impl Display, most: impl Display) -> String {
        // An option is written with a hyphen.
        let key = if self.prefix == OPTION { key.replace('_', "-") } else { key.to_owned() };
        format!("{}{key} is used up: {used} of {most}", self.prefix)
    }

    /// Whether the calls under way leave room for one more.
    fn has_room(&self, spent: &Spent, about: Amount) -> bool {
        let all = sum(sum(spent.settled, spent.reserved), about);
        let BudgetPlan { max_tokens, max_cost, .. } = self.plan;
        spent.reserved.calls == 0
            || (max_tokens.is_none_or(|most| all.tokens <= most)
                && max_cost.is_none_or(|most| all.cost <= most))
    }
}

fn sum(one: Amount, other: Amount) -> Amount {
    Amount {
        calls: one.calls.saturating_add(other.calls),
        tokens: one.tokens.saturating_add(other.tokens),
        cost: one.cost + other.cost,
    }
}

/// What is kept free for one call. Dropped, it was never made.
#[derive(Debug)]
pub struct Reservation<'a> {
    budget: &'a Budget,
    about: Amount,
    settled: bool,
}

impl Reservation<'_> {
    pub fn settle(mut self, amount: Amount) {
        self.close(amount);
    }

    fn close(&mut self, amount: Amount) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let mut spent = self.budget.spent.lock();
        spent.settled = sum(spent.settled, amount);
        let reserved = spent.reserved;
        spent.reserved = match reserved.calls.saturating_sub(self.about.calls) {
            // Subtracting fractions leaves rounding errors.
            0 => Amount::default(),
            calls => Amount {
                calls,
                tokens: reserved.tokens.saturating_sub(self.about.tokens),
                cost: reserved.cost - self.about.cost,
            },
        };
        drop(spent);
        self.budget.changed.notify_one();
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.close(Amount::default());
    }
}
