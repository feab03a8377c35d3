//! The budget of a whole batch.

use crate::batch::folder::Folder;
use crate::batch::part::Part;
use crate::budget::{Amount, Budget};
use crate::cli::StoppingArgs;
use crate::config::faults::Faults;
use crate::plan::{BudgetPlan, CrewPlan, ModelPlan};
use crate::text::quoted;

/// The share of `--max-cost` and `--max-tokens` that a part of the batch has.
///
/// # Errors
/// A model has no price, so its cost is not known.
pub fn plan(args: &StoppingArgs, plan: &CrewPlan, part: Part) -> Result<BudgetPlan, Faults> {
    let mut models = plan.agents.iter().flat_map(|agent| agent.models());
    let is_unpriced =
        |model: &&ModelPlan| **model != ModelPlan::Offline && plan.prices.of(model).is_none();
    if args.max_cost.is_some()
        && let Some(model) = models.find(is_unpriced)
    {
        let message = format!("--max-cost needs a price for {}", quoted(model.label()));
        let hint = format!("such as prices: {{{}: {{input: 0.15, output: 0.6}}}}", model.label());
        return Err(Faults::unplaced(None, message, Some(hint)));
    }
    Ok(BudgetPlan {
        max_cost: args.max_cost.map(|cost| cost / f64::from(part.of)),
        max_tokens: args.max_tokens.map(|tokens| (tokens.get() / u64::from(part.of)).max(1)),
        ..BudgetPlan::default()
    })
}

/// The budget, of which earlier runs of the folder have spent a part.
pub fn of_batch(plan: BudgetPlan, folder: Option<&Folder>) -> Budget {
    let spent = folder.map(|folder| folder.found.spent).unwrap_or_default();
    let spent = Amount {
        calls: spent.model_calls,
        tokens: spent.input_tokens + spent.output_tokens,
        cost: spent.cost.known.unwrap_or_default(),
    };
    Budget::of_all_runs(plan, spent)
}
