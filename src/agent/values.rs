//! The values that an agent's templates see.

use minijinja::Value;

use super::run::{AgentRun, RunContext};
use crate::template::{AnswerContext, agent_context};

/// The values for a run of an agent. `needed` are the runs of the agents that it needs, which have
/// ended.
pub fn values(run: &AgentRun<'_>, needed: &[&AgentRun<'_>], context: &RunContext<'_>) -> Value {
    if let Some(values) = &run.values {
        return values.clone();
    }
    // One at a time: outputs can be long and are not held twice.
    let answers = needed.iter().map(|needed| {
        let draft = needed.ledger.open();
        (needed.plan.name.as_str(), AnswerContext::of(&draft.report))
    });
    agent_context(context.input, &context.plan.vars, answers)
}
