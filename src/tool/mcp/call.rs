//! One call of an MCP server's tool.

use std::time::Duration;

use rmcp::ServiceError;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, JsonObject, MetaObject,
    RequestMetaObject, ServerResult,
};
use rmcp::service::PeerRequestOptions;
use serde_json::json;
use tokio::time::timeout;

use super::failure::{self, Phase, ServerFailure, excerpt};
use super::result::{self, ToolResult};
use super::server::Session;
use crate::plan::McpToolPlan;
use crate::recording::{Asked, Kind};
use crate::report::CancelKind;
use crate::telemetry::SpanContext;
use crate::text::Excerpt;
use crate::tool::context::CallInput;
use crate::tool::outcome::{ToolEnd, ToolOutcome};
use crate::tool::recorded::recorded;

/// The limit for sending a cancellation: the server may have stopped reading.
const CANCEL_TIMEOUT: Duration = Duration::from_millis(50);
/// The limit for learning how a server ended whose connection broke during a call.
const FAILURE_TIMEOUT: Duration = Duration::from_millis(700);

/// Makes the call, until it ends or `stop` completes with the reason to cancel it.
pub async fn call(
    plan: &McpToolPlan,
    input: CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let servers = input.context.servers;
    let agent = input.context.agent.to_owned();
    let asked = || {
        let server = servers.name(plan.server);
        let request = json!({"server": server, "tool": plan.tool, "arguments": input.arguments});
        Asked { kind: Kind::Mcp, agent, request }
    };
    recorded(servers.recording(), asked, stop, |stop| send(plan, &input, stop)).await
}

/// Sends the call to its server. crew notifies the server of a cancellation, but does not wait for
/// its reaction.
async fn send(
    plan: &McpToolPlan,
    input: &CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let servers = input.context.servers;
    let mut stop = std::pin::pin!(stop);
    let session = tokio::select! {
        biased;
        reason = &mut stop => return stopped(reason),
        session = servers.session(plan.server) => session,
    };
    let session = match session {
        Ok(session) => session,
        Err(why) => return failed(&why),
    };
    // Keeps the session open until a cancellation has been sent.
    let _pending_call = session.calls.token();
    let mut params = CallToolRequestParams::new(plan.tool.clone());
    params.arguments = Some(input.arguments.clone());
    params.meta = meta(input.context.span);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let options = PeerRequestOptions::no_options();
    let server = servers.name(plan.server);
    let mut handle = match session.peer.send_cancellable_request(request, options).await {
        Ok(handle) => handle,
        Err(error) => return failed(&explain(server, &session, error).await),
    };
    let response = tokio::select! {
        biased;
        response = &mut handle.rx => response.unwrap_or(Err(ServiceError::TransportClosed)),
        reason = &mut stop => {
            let why = "crew no longer waits for the result".to_owned();
            let _ = timeout(CANCEL_TIMEOUT, handle.cancel(Some(why))).await;
            return stopped(reason);
        }
    };
    match response {
        Ok(result) => finished(result, input.max_output),
        // A stopped run closes the connection, perhaps before this task is told to stop.
        Err(error) => tokio::select! {
            biased;
            message = explain(server, &session, error) => failed(&message),
            reason = stop => stopped(reason),
        },
    }
}

/// The call's place in the trace, as MCP passes it on.
fn meta(span: SpanContext<'_>) -> Option<RequestMetaObject> {
    let fields = span.fields().map(|(name, value)| (name.to_owned(), value.into()));
    let fields: JsonObject = fields.collect();
    (!fields.is_empty()).then(|| RequestMetaObject(MetaObject(fields)))
}

fn finished(result: ServerResult, max_output: usize) -> ToolOutcome {
    let ToolResult { output, images, is_error } = result::read(result, max_output);
    if !is_error {
        return ToolOutcome { images, ..ToolOutcome::new(ToolEnd::Succeeded, output) };
    }
    let mut outcome = ToolOutcome { images, ..ToolOutcome::new(ToolEnd::Failed, output) };
    if outcome.output.is_empty() {
        outcome.add_note("the tool failed without a message");
    }
    outcome
}

fn stopped(reason: CancelKind) -> ToolOutcome {
    ToolOutcome::new(ToolEnd::Stopped(reason), Excerpt::default())
}

fn failed(message: &str) -> ToolOutcome {
    let message = excerpt(message);
    ToolOutcome { truncated: message.truncated, ..ToolOutcome::failed(&message.text) }
}

/// Describes why a call has no result.
async fn explain(server: &str, session: &Session, error: ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => {
            let data = error.data.map(|data| format!(" {data}")).unwrap_or_default();
            format!("MCP server {server}: error {}: {}{data}", error.code.0, error.message)
        }
        ServiceError::TransportClosed => {
            let failure = timeout(FAILURE_TIMEOUT, session.ended.wait()).await;
            let failure = failure.cloned().unwrap_or_default();
            format!("MCP server {server} {}", ServerFailure { phase: Phase::Call, ..failure })
        }
        ServiceError::TransportSend(error) => {
            // The server may have ended before the call was sent.
            match timeout(FAILURE_TIMEOUT, session.ended.wait()).await {
                Ok(failure) => format!("MCP server {server} {failure}"),
                Err(_) => {
                    format!("MCP server {server}: {}", failure::of_transport(&*error.error))
                }
            }
        }
        error => format!("MCP server {server}: {error}"),
    }
}
