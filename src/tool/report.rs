//! Reports of tool calls that did not run, or have not ended yet.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::Instant;

use super::check::{Rejection, find};
use super::outcome::{ToolEnd, stop_reason};
use crate::cancel::Cancellation;
use crate::chat::{Attachment, ToolCall};
use crate::plan::ToolPlan;
use crate::report::{ToolCallReport, ToolStatus, millis};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// A call that was run.
#[derive(Debug)]
pub struct FinishedCall {
    /// Its report, without the output.
    pub report: ToolCallReport,
    pub output: Untrusted,
    pub images: Vec<Attachment>,
}

impl FinishedCall {
    /// The whole report, without secrets.
    pub fn redact(self, secrets: &Secrets) -> ToolCallReport {
        let Self { report, output, .. } = self;
        ToolCallReport { output: output.redact_output(secrets, report.truncated), ..report }
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

/// The report of a call that has not ended, to be replaced when it does.
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

/// The report of a call that was denied.
pub fn refused(unfinished: ToolCallReport, why: &str) -> ToolCallReport {
    let output = format!("[not run: {why}]");
    ToolCallReport { status: ToolStatus::Rejected, output, ..unfinished }
}

/// The report of a call whose scope was stopped while it waited for approval.
pub fn unanswered(unfinished: ToolCallReport, scope: &Cancellation) -> ToolCallReport {
    let end = ToolEnd::Stopped(stop_reason(scope));
    let output = "[not run: stopped while waiting for approval]".to_owned();
    ToolCallReport { status: end.status(), stopped_by: end.stopped_by(), output, ..unfinished }
}
