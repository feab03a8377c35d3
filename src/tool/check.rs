//! The check of a tool call before anything runs.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::chat::ToolCall;
use crate::plan::{ToolKind, ToolPlan};

/// A call that may run: its tool is known and its arguments fit.
#[derive(Debug)]
pub struct CheckedCall {
    pub tool: Arc<ToolPlan>,
    /// An object, since no schema of a tool allows anything else.
    pub arguments: Value,
}

/// A call that may not run, and what to tell the model so that it can mend it.
#[derive(Debug, PartialEq)]
pub struct Rejection {
    /// As far as they are JSON; else the text itself.
    pub arguments: Value,
    pub message: String,
}

/// Finds the tool and checks the arguments against its schema. Nothing runs.
///
/// # Errors
/// There is no such tool, or the arguments do not fit it.
pub fn check(tools: &[Arc<ToolPlan>], call: &ToolCall) -> Result<CheckedCall, Rejection> {
    let reject = |arguments: Value, message: String| Err(Rejection { arguments, message });
    let parsed = match call.arguments.trim() {
        "" => Ok(Value::Object(Map::new())),
        text => serde_json::from_str(text),
    };
    let mut arguments: Value = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            let message = format!("the arguments are not valid JSON: {error}");
            return reject(Value::String(call.arguments.clone()), message);
        }
    };
    let Some(tool) = find(tools, call) else {
        return reject(arguments, unknown_tool(tools));
    };
    if let Some(arguments) = arguments.as_object_mut() {
        fill_in_defaults(&tool.spec.parameters, arguments);
    }
    match tool.schema.fit(&arguments) {
        Ok(()) if is_out_of_reach(tool) => reject(arguments, "--offline".to_owned()),
        Ok(()) => Ok(CheckedCall { tool: tool.clone(), arguments }),
        Err(why) => reject(arguments, format!("the arguments do not fit: {why}")),
    }
}

pub fn find<'a>(tools: &'a [Arc<ToolPlan>], call: &ToolCall) -> Option<&'a Arc<ToolPlan>> {
    tools.iter().find(|tool| tool.spec.name == call.name)
}

/// With `--offline` nothing but this machine is asked.
fn is_out_of_reach(tool: &ToolPlan) -> bool {
    matches!(&tool.kind, ToolKind::Http(http) if http.hosts.is_out_of_reach())
}

fn unknown_tool(tools: &[Arc<ToolPlan>]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.spec.name.as_str()).collect();
    match names.as_slice() {
        [] => "there is no such tool: this agent has none".to_owned(),
        names => format!("there is no such tool; there are: {}", names.join(", ")),
    }
}

fn fill_in_defaults(schema: &Value, arguments: &mut Map<String, Value>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        if let (Some(default), false) = (property.get("default"), arguments.contains_key(name)) {
            arguments.insert(name.clone(), default.clone());
        }
    }
}
