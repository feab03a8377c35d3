//! What templates see of an agent that has ended.

use minijinja::Value;
use minijinja::value::Serde;

use super::context::{AnswerContext, no_error};
use crate::report::{AgentReport, AgentStatus, word};

impl AnswerContext {
    /// `status`, `output`, `data` and `error` of an agent, and `items` of its instances.
    pub fn of(report: &AgentReport) -> Self {
        let mut pairs = outcome(report);
        if let Some(items) = &report.items {
            let data = items.iter().filter(|item| item.status == AgentStatus::Succeeded);
            let data = data.filter_map(|item| item.data.as_ref());
            let data: Vec<Value> = data.map(|data| Value::from(Serde(data))).collect();
            pairs.retain(|(name, _)| !matches!(*name, "data" | "output"));
            pairs.push(("data", Value::from(data)));
            pairs.push(("output", Value::from(report.answer_text().unwrap_or_default())));
            pairs.push(("items", items.iter().map(item).collect()));
        }
        Self(Value::from_pairs(pairs))
    }
}

fn item(report: &AgentReport) -> Value {
    let key = Value::from(report.key.as_deref().unwrap_or_default());
    let item = Value::from(Serde(&report.item));
    Value::from_pairs(outcome(report).into_iter().chain([("key", key), ("item", item)]))
}

fn outcome(report: &AgentReport) -> Vec<(&'static str, Value)> {
    let mut pairs = vec![
        ("status", Value::from(word(report.status))),
        ("output", report.output.as_deref().map_or(Value::from(()), Value::from)),
        (
            "error",
            report.failure().map_or_else(no_error, |(kind, message)| {
                Value::from_pairs([("kind", kind), ("message", message)])
            }),
        ),
    ];
    if let Some(data) = report.data.as_ref().filter(|_| report.status == AgentStatus::Succeeded) {
        pairs.push(("data", Value::from(Serde(data))));
    }
    pairs
}
