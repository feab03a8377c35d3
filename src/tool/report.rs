//! Reports of tool calls that did not run, or have not ended yet.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::check::{Rejection, find};
use super::outcome::ToolEnd;
use crate::cancel::Cancellation;
use crate::chat::ToolCall;
use crate::plan::ToolPlan;
use crate::report::{ToolCallReport, ToolStatus, millis};

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
    let end = ToolEnd::stopped_in(scope);
    let output = "[not run: it was still waiting for a confirmation]".to_owned();
    ToolCallReport { status: end.status(), stopped_by: end.stopped_by(), output, ..unfinished }
}
