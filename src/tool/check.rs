//! The check of a tool call before anything runs.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::chat::ToolCall;
use crate::plan::{ToolKind, ToolPlan};
use crate::text::json;

/// The reason for the rejection of a call that is not complete.
const CUT: &str = "the limit of output tokens (max_output_tokens) cut off this call before its \
                   arguments were complete; call again with shorter arguments";

/// A call of a known tool with valid arguments.
#[derive(Debug)]
pub struct CheckedCall {
    /// The tool to run.
    pub tool: Arc<ToolPlan>,
    /// An object, with defaults filled in.
    pub arguments: Value,
}

/// A call that may not run.
#[derive(Debug, PartialEq)]
pub struct Rejection {
    /// The arguments, or their text if they are not valid JSON.
    pub arguments: Value,
    /// The reason, for the model.
    pub message: String,
}

/// Finds the tool and checks the arguments against its schema. Nothing runs. `is_cut`: the limit of
/// output tokens ended the answer, perhaps inside this call.
///
/// # Errors
/// The tool is unknown or out of reach with `--offline`, or the arguments are invalid.
pub fn check(
    tools: &[Arc<ToolPlan>],
    call: &ToolCall,
    is_cut: bool,
) -> Result<CheckedCall, Rejection> {
    let reject = |arguments: Value, message: String| Err(Rejection { arguments, message });
    let parsed = match call.arguments.trim() {
        "" if !is_cut => Ok(Value::Object(Map::new())),
        text => json::value(text.as_bytes()),
    };
    let written: Value = match parsed {
        Ok(written) => written,
        Err(error) => {
            let message = match is_cut {
                true => CUT.to_owned(),
                false => format!("the arguments cannot be read: {error}"),
            };
            return reject(Value::String(call.arguments.clone()), message);
        }
    };
    let Some(tool) = find(tools, call) else {
        return reject(written, unknown_tool(tools));
    };
    let arguments = match tool.parameters.accept(&written) {
        Ok(arguments) => arguments,
        Err(why) => {
            return reject(written, format!("the arguments do not match the schema: {why}"));
        }
    };
    if is_out_of_reach(tool) {
        return reject(arguments, "--offline".to_owned());
    }
    Ok(CheckedCall { tool: tool.clone(), arguments })
}

/// The tool that a call names.
pub fn find<'a>(tools: &'a [Arc<ToolPlan>], call: &ToolCall) -> Option<&'a Arc<ToolPlan>> {
    tools.iter().find(|tool| tool.spec.name == call.name)
}

/// With `--offline`, HTTP tools may reach this machine only. MCP servers are skipped earlier.
fn is_out_of_reach(tool: &ToolPlan) -> bool {
    matches!(&tool.kind, ToolKind::Http(http) if http.hosts.is_out_of_reach())
}

fn unknown_tool(tools: &[Arc<ToolPlan>]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.spec.name.as_str()).collect();
    match names.as_slice() {
        [] => "there is no such tool: this agent has no tools".to_owned(),
        names => format!("there is no such tool; available tools: {}", names.join(", ")),
    }
}
