//! What a run comes to: its answer, and whether its `fail_if` holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::CrewPlan;
use crate::report::{AgentReport, FailIfReport};
use crate::template::{AnswerContext, Expression, agent_context};
use crate::text::truncate;

/// Characters of a value that `fail_if` saw.
const MAX_SEEN: usize = 200;

/// The crew's answer, if it has one.
pub fn answer(plan: &CrewPlan, agents: &[AgentReport]) -> Option<Value> {
    agents.get(plan.output?)?.answer()
}

/// The `fail_if` of the plan; evaluated if every agent ended well and nothing cut the run short.
pub fn fail_if(
    plan: &CrewPlan,
    input: &str,
    agents: &[AgentReport],
    is_complete: bool,
) -> Option<FailIfReport> {
    let expression = plan.fail_if.as_ref()?;
    let mut report = FailIfReport {
        expression: expression.source().to_owned(),
        holds: None,
        error: None,
        saw: BTreeMap::new(),
    };
    if !is_complete || !agents.iter().all(AgentReport::ended_well) {
        return Some(report);
    }
    let answers = agents.iter().map(|agent| (agent.name.as_str(), AnswerContext::of(agent)));
    let values = agent_context(input, &plan.vars, answers);
    report.saw = seen(expression, &values);
    match expression.holds(values) {
        Ok(holds) => report.holds = Some(holds),
        Err(error) => report.error = Some(error.to_string()),
    }
    Some(report)
}

/// What the names in an expression stand for, long values cut.
fn seen(expression: &Expression, values: &minijinja::Value) -> BTreeMap<String, Value> {
    let value = |name: String| {
        let value = Expression::parse(&name).ok()?.value(values.clone()).ok()??;
        let text = value.to_string();
        let value = if text.len() > MAX_SEEN { truncate(text, MAX_SEEN).into() } else { value };
        Some((name, value))
    };
    expression.names().into_iter().filter_map(value).collect()
}
