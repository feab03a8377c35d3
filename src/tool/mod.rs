//! One tool call, from what the model wrote to what it gets to see.

mod command;
mod context;
pub mod http;
pub mod mcp;
mod outcome;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use crate::cancel::Cancellation;
use crate::chat::ToolCall;
use crate::plan::{ToolKind, ToolPlan};
use crate::report::{CancelKind, ToolCallReport, ToolStatus, millis};
use context::CallInput;
use outcome::{ToolEnd, ToolOutcome};

pub use context::ToolContext;

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

fn find<'a>(tools: &'a [Arc<ToolPlan>], call: &ToolCall) -> Option<&'a Arc<ToolPlan>> {
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

/// The report of a call that was not run.
pub fn rejected(
    tools: &[Arc<ToolPlan>],
    call: &ToolCall,
    rejection: Rejection,
    run_started: Instant,
) -> ToolCallReport {
    let name = find(tools, call).map_or(&*call.name, |tool| tool.label());
    refused(unfinished(name, rejection.arguments, run_started), &rejection.message)
}

/// The report of a call that has started, until it is replaced by how it ended.
pub fn unfinished(tool: &str, arguments: Value, run_started: Instant) -> ToolCallReport {
    ToolCallReport {
        tool: tool.to_owned(),
        arguments,
        status: ToolStatus::Cancelled,
        exit_code: None,
        signal: None,
        http_status: None,
        started_ms: millis(run_started.elapsed()),
        duration_ms: 0,
        output: String::new(),
        truncated: false,
        leaked: false,
        stopped_by: None,
    }
}

/// The report of a call that somebody would not have run.
pub fn refused(unfinished: ToolCallReport, why: &str) -> ToolCallReport {
    let output = format!("[not run: {why}]");
    ToolCallReport { status: ToolStatus::Rejected, output, ..unfinished }
}

/// The report of a call that was still waiting for leave to run when its scope was stopped.
pub fn unanswered(unfinished: ToolCallReport, scope: &Cancellation) -> ToolCallReport {
    let end = ToolEnd::Stopped(stop_reason(scope));
    let output = "[not run: it was still waiting for a confirmation]".to_owned();
    ToolCallReport { status: end.status(), stopped_by: end.stopped_by(), output, ..unfinished }
}

/// Runs a checked call until it ends by itself, exceeds its time limit, or its scope is cancelled.
/// Every ending is a report; its output says what went wrong, for the model to read.
pub async fn call(checked: CheckedCall, context: ToolContext<'_>) -> ToolCallReport {
    let CheckedCall { tool, arguments } = checked;
    let started = Instant::now();
    let report = unfinished(tool.label(), arguments, context.run_started);
    let limit = tool.timeout.unwrap_or(context.default_timeout);
    let mut outcome = run(&tool, &report.arguments, &context, limit).await;
    if outcome.end == ToolEnd::Stopped(CancelKind::ToolTimeout) {
        outcome.add_note(&format!("stopped: it had not ended within {limit:?}"));
    }
    ToolCallReport {
        status: outcome.end.status(),
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        http_status: outcome.http_status,
        duration_ms: millis(started.elapsed()),
        output: outcome.output,
        truncated: outcome.truncated,
        leaked: outcome.leaked,
        stopped_by: outcome.end.stopped_by(),
        ..report
    }
}

async fn run(
    tool: &ToolPlan,
    arguments: &Value,
    context: &ToolContext<'_>,
    limit: Duration,
) -> ToolOutcome {
    let none = Map::new();
    let arguments = arguments.as_object().unwrap_or(&none);
    let input = CallInput { arguments, max_output: tool.max_output, context };
    let stop = async {
        tokio::select! {
            biased;
            () = context.scope.cancelled() => stop_reason(context.scope),
            // Unconstrained: a tool that never stops writing must not keep its time limit from firing.
            () = unconstrained(sleep(limit)) => CancelKind::ToolTimeout,
        }
    };
    match &tool.kind {
        ToolKind::Process(plan) => command::call(plan, input, stop).await,
        ToolKind::Http(plan) => http::call(plan, input, stop).await,
        ToolKind::Mcp(plan) => mcp::call(plan, input, stop).await,
    }
}

fn stop_reason(scope: &Cancellation) -> CancelKind {
    scope.reason().map_or(CancelKind::Interrupted, |reason| reason.kind)
}
