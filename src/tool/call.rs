//! One checked tool call, from its start to its report.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::check::CheckedCall;
use super::context::{CallInput, ToolContext};
use super::http::HttpCall;
use super::outcome::{ToolEnd, ToolOutcome, stopped};
use super::report::{FinishedCall, unfinished};
use super::{command, http, mcp};
use crate::plan::{ToolKind, ToolPlan};
use crate::report::{CancelKind, ToolCallReport, millis};
use crate::text::HeadTail;

/// Runs a checked call until it ends by itself, exceeds its time limit, or its scope is cancelled.
/// Every ending is a report; its output says what went wrong, for the model to read.
pub async fn call(checked: CheckedCall, context: ToolContext<'_>) -> FinishedCall {
    let CheckedCall { tool, arguments } = checked;
    let started = Instant::now();
    let report = unfinished(tool.label(), arguments, context.run_started);
    let limit = tool.timeout.unwrap_or(context.default_timeout);
    let mut outcome = run(&tool, &report.arguments, &context, limit).await;
    if outcome.end == ToolEnd::Stopped(CancelKind::ToolTimeout) {
        outcome.add_note(&format!("stopped: it exceeded its timeout of {limit:?}"));
    }
    let output = outcome.take_text();
    let report = ToolCallReport {
        status: outcome.end.status(),
        exit_code: outcome.exit_code,
        signal: outcome.signal,
        http_status: outcome.http_status,
        duration_ms: millis(started.elapsed()),
        truncated: outcome.truncated,
        leaked: outcome.leaked,
        stopped_by: outcome.end.stopped_by(),
        ..report
    };
    FinishedCall { report, output, images: outcome.images }
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
    let stop = stopped(context.scope, Some(limit));
    match &tool.kind {
        ToolKind::Process(plan) => command::call(plan, input, stop).await,
        ToolKind::Http(plan) => {
            let values = &input.template_values();
            let (kept, clients) = (HeadTail::new(input.max_output), context.http);
            let cancelled = context.http_calls_cancelled;
            let (agent, span) = (context.agent, context.span);
            http::call(HttpCall { agent, plan, values, clients, kept, cancelled, span }, stop).await
        }
        ToolKind::Mcp(plan) => mcp::call(plan, input, stop).await,
    }
}
