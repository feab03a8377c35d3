//! The limits and prices of a plan, for `crew check`.

use super::words::{self, count, limit};
use crate::plan::{
    AgentPlan, BudgetPlan, CrewPlan, ModelPlan, OnFailure, ProviderPlan, RateLimits,
};
use crate::text::inline;

/// Names of agents that have the same limits, in one line.
const MAX_NAMES: usize = 6;

/// The limits, a line each: of the run, of its agents, of the providers.
pub fn limits(plan: &CrewPlan) -> Vec<String> {
    let limits = &plan.limits;
    let (timeout, grace) = (limit(limits.timeout), limit(limits.grace));
    let parallel = match limits.max_parallel {
        Some(max) => format!("at most {} in parallel", count(max as u64, "agent", "agents")),
        None => "all agents in parallel".to_owned(),
    };
    let on_failure = match limits.on_failure {
        OnFailure::Cancel => "are cancelled",
        OnFailure::Continue => "continue",
    };
    let mut lines = vec![
        format!("run timeout {timeout}, grace period {grace}"),
        format!("{parallel}; if one fails, the others {on_failure}"),
    ];
    lines.extend(budget(&plan.budget).map(|most| format!("at most {most}")));
    lines.extend(agents(plan));
    lines.extend(plan.providers.iter().filter_map(rates));
    lines
}

/// A line for all agents with the same budget.
fn agents(plan: &CrewPlan) -> Vec<String> {
    let budgets = plan.agents.iter().map(|agent| (&agent.settings.budget, &*agent.name));
    let line = |(own, names): (&BudgetPlan, Vec<&str>)| {
        let most = budget(own)?;
        let agents = match names.as_slice() {
            names if names.len() == plan.agents.len() => "each agent".to_owned(),
            [name] => format!("agent {name}"),
            names => format!("each of {}", words::names(names.iter().copied(), MAX_NAMES)),
        };
        Some(format!("{agents}: at most {most}"))
    };
    words::grouped(budgets).into_iter().filter_map(line).collect()
}

fn rates(provider: &ProviderPlan) -> Option<String> {
    let RateLimits { max_concurrency, requests_per_minute, tokens_per_minute, .. } =
        provider.limits;
    let most = joined([
        max_concurrency.map(|max| count(max as u64, "concurrent call", "concurrent calls")),
        requests_per_minute
            .map(|max| count(max as u64, "request per minute", "requests per minute")),
        tokens_per_minute.map(|max| count(max, "token per minute", "tokens per minute")),
    ])?;
    Some(format!("{}: at most {most}", provider.name))
}

/// `None` without a limit.
fn budget(budget: &BudgetPlan) -> Option<String> {
    let BudgetPlan { max_tokens, max_cost, max_model_calls, max_tool_calls } = *budget;
    joined([
        max_tokens.map(|max| count(max, "token", "tokens")),
        max_cost.map(|max| format!("cost {max}")),
        max_model_calls.map(|max| count(max, "model call", "model calls")),
        max_tool_calls.map(|max| count(max, "tool call", "tool calls")),
    ])
}

fn joined<const N: usize>(parts: [Option<String>; N]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The prices of each model in use, as rows of a table, or no rows if the file has no prices. If no
/// pattern matches a model, its price is `unknown`.
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
