//! What a run and its agents may use up, and what it costs, for `crew check`.

use super::words::{self, count, limit};
use crate::plan::{
    AgentPlan, BudgetPlan, CrewPlan, ModelPlan, OnFailure, ProviderPlan, RateLimits,
};
use crate::text::inline;

/// Begins each line but the first.
const INDENT: &str = "\n        ";
/// Of agents that have the same limits.
const MOST_NAMES: usize = 6;

pub fn limits(plan: &CrewPlan) -> String {
    let limits = &plan.limits;
    let at_once = match limits.max_parallel {
        Some(most) => format!("at most {} at once", count(most as u64, "agent", "agents")),
        None => "all agents at once".to_owned(),
    };
    let on_failure = match limits.on_failure {
        OnFailure::Cancel => "the first failure stops the others",
        OnFailure::Continue => "the others go on when one fails",
    };
    let run = budget(&plan.budget).map(|most| format!("{INDENT}at most {most}"));
    format!(
        "limits: {} for the run, {} of grace for tools{INDENT}{at_once}; {on_failure}{}{}{}",
        limit(limits.timeout),
        limit(limits.grace),
        run.unwrap_or_default(),
        agents(plan),
        rates(plan)
    )
}

/// What each agent may use up, a line for all that may use up the same.
fn agents(plan: &CrewPlan) -> String {
    let mut groups: Vec<(&BudgetPlan, Vec<&str>)> = Vec::new();
    for AgentPlan { name, settings, .. } in &plan.agents {
        let own = &settings.budget;
        match groups.iter_mut().find(|(known, _)| *known == own) {
            Some((_, names)) => names.push(name),
            None => groups.push((own, vec![name])),
        }
    }
    let line = |(most, names): &(&BudgetPlan, Vec<&str>)| {
        let most = budget(most)?;
        let who = match names.as_slice() {
            names if names.len() == plan.agents.len() => "each agent".to_owned(),
            [name] => format!("agent {name}"),
            names => format!("each of {}", words::names(names.iter().copied(), MOST_NAMES)),
        };
        Some(format!("{INDENT}{who}: at most {most}"))
    };
    groups.iter().filter_map(line).collect()
}

/// What the endpoints are to be spared, a line for each.
fn rates(plan: &CrewPlan) -> String {
    let line = |provider: &ProviderPlan| {
        let RateLimits { max_concurrency, requests_per_minute, tokens_per_minute } =
            provider.limits;
        let parts = [
            max_concurrency.map(|most| format!("{} at once", count(most as u64, "call", "calls"))),
            requests_per_minute
                .map(|most| format!("{} a minute", count(most as u64, "request", "requests"))),
            tokens_per_minute.map(|most| format!("{} a minute", count(most, "token", "tokens"))),
        ];
        let parts = joined(parts)?;
        Some(format!("{INDENT}{}: at most {parts}", provider.name))
    };
    plan.providers.iter().filter_map(line).collect()
}

/// `None`: without a limit.
fn budget(budget: &BudgetPlan) -> Option<String> {
    let BudgetPlan { max_tokens, max_cost, max_model_calls, max_tool_calls } = *budget;
    joined([
        max_tokens.map(|most| count(most, "token", "tokens")),
        max_cost.map(|most| format!("a cost of {most}")),
        max_model_calls.map(|most| count(most, "model call", "model calls")),
        max_tool_calls.map(|most| count(most, "tool call", "tool calls")),
    ])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Rows of what a million tokens cost: of each model that is asked, where the file has prices at
/// all, so that a pattern that fits none of them is seen.
pub fn prices(plan: &CrewPlan) -> Vec<[String; 4]> {
    let mut rows: Vec<[String; 4]> = Vec::new();
    if plan.prices.is_empty() {
        return rows;
    }
    let models = plan.agents.iter().flat_map(AgentPlan::models);
    for model in models.filter(|model| **model != ModelPlan::Offline) {
        let label = inline(model.label());
        if rows.iter().any(|[known, ..]| *known == label) {
            continue;
        }
        let price = plan.prices.of(model).map(|price| {
            [price.input, price.cached_input, price.output].map(|amount| amount.to_string())
        });
        let [input, cached, output] = price.unwrap_or_else(|| ["unknown", "", ""].map(Into::into));
        rows.push([label.into_owned(), input, cached, output]);
    }
    rows
}
