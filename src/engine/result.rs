//! The result of a run: its answer, and whether its `fail_if` holds.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::plan::{CrewPlan, FailIfPlan};
use crate::report::{AgentReport, FailIfReport};
use crate::secret::Secrets;
use crate::template::{AnswerContext, Expression, RunInput, agent_context};
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
    input: &RunInput,
    agents: &[AgentReport],
    is_complete: bool,
    secrets: &Secrets,
) -> Option<FailIfReport> {
    let FailIfPlan { condition: expression, unselected } = plan.fail_if.as_ref()?;
    let mut report = FailIfReport {
        expression: expression.source().to_owned(),
        holds: None,
        error: None,
        saw: BTreeMap::new(),
    };
    let is_due = is_complete && unselected.is_empty();
    if !is_due || !agents.iter().all(AgentReport::ended_well) {
        return Some(report);
    }
    let answers = agents.iter().map(|agent| (agent.name.as_str(), AnswerContext::of(agent)));
    let values = agent_context(input, &plan.vars, answers);
    report.saw = seen(expression, &values, secrets);
    match expression.holds(values) {
        Ok(holds) => report.holds = Some(holds),
        Err(error) => report.error = Some(error.to_string()),
    }
    Some(report)
}

/// What the names in an expression stand for: redacted, then cut where a value is long.
fn seen(
    expression: &Expression,
    values: &minijinja::Value,
    secrets: &Secrets,
) -> BTreeMap<String, Value> {
    let shown = |(name, value)| {
        let value = match secrets.redact_value(value) {
            Value::String(text) => truncate(text, MAX_SEEN).into(),
            value if value.to_string().len() > MAX_SEEN => {
                truncate(value.to_string(), MAX_SEEN).into()
            }
            value => value,
        };
        (name, value)
    };
    expression.seen(&["agents", "input", "vars"], values).into_iter().map(shown).collect()
}
