//! The values that templates see.

use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Object, Serde};
use serde_json::{Map, Value as Json};

use super::input::RunInput;

/// `vars` of a file, converted once for all templates: the conversion takes time in proportion to
/// their size.
#[derive(Debug)]
pub struct Vars {
    values: Json,
    converted: Value,
}

impl Vars {
    pub fn new(values: Json) -> Self {
        let converted = Value::from(Serde(&values));
        Self { values, converted }
    }

    pub fn values(&self) -> &Json {
        &self.values
    }
}

/// The `error` of an agent that did not fail: false, and its parts are empty texts, so that
/// `output or error.message` works for every agent.
#[derive(Debug)]
struct NoError;

impl Object for NoError {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        matches!(key.as_str(), Some("kind" | "message")).then(|| Value::from(""))
    }
}

pub(super) fn no_error() -> Value {
    Value::from_object(NoError)
}

/// `agents.NAME`: the answer of an agent.
pub struct AnswerContext(pub(super) Value);

impl AnswerContext {
    /// `data` is the structured answer, if the agent has an `output_schema`.
    pub fn new(output: &str, data: Option<&Json>) -> Self {
        let data = data.map(|data| ("data", Value::from(Serde(data))));
        let items: Vec<Value> = Vec::new();
        let common = [
            ("output", Value::from(output)),
            ("status", Value::from("succeeded")),
            ("error", no_error()),
            ("items", Value::from(items)),
        ];
        Self(Value::from_pairs(common.into_iter().chain(data)))
    }
}

/// The context of an agent's templates: `input`, `vars`, and `agents.NAME` of the agents it needs.
pub fn agent_context<'a>(
    input: &RunInput,
    vars: &Vars,
    answers: impl IntoIterator<Item = (&'a str, AnswerContext)>,
) -> Value {
    let answers = answers.into_iter();
    let agents = Value::from_pairs(answers.map(|(name, answer)| (name, answer.0)));
    Value::from_pairs([
        ("input", input.value()),
        ("vars", vars.converted.clone()),
        ("agents", agents),
    ])
}

/// An agent's context with further values. Shares those it has.
pub fn extended(context: &Value, more: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let known = ["input", "vars", "agents", "item", "index"].into_iter().filter_map(|name| {
        let value = context.get_attr(name).ok().filter(|value| !value.is_undefined())?;
        Some((name, value))
    });
    Value::from_pairs(known.chain(more))
}

/// The context of a tool's templates: `input`, `vars` and the arguments of the call.
pub fn tool_context(input: &RunInput, vars: &Vars, arguments: &Map<String, Json>) -> Value {
    let arguments = arguments.iter().map(|(name, value)| (name.clone(), Value::from(Serde(value))));
    let common = [("input".to_owned(), input.value()), ("vars".to_owned(), vars.converted.clone())];
    Value::from_pairs(common.into_iter().chain(arguments))
}
