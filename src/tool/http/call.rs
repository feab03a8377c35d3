//! One call of an HTTP tool: a request and its redirects.
//!
//! The call is one future. Dropping it closes its connection, so stopping it takes no time.

use std::sync::atomic::{AtomicU64, Ordering};

use minijinja::Value;
use reqwest::{Method, Response};

use super::client::HttpClients;
use super::received::{MAX_BODY, Received, status_line};
use super::redirect;
use super::request::{self, Request};
use crate::net::{self, CONNECT_TIMEOUT, innermost};
use crate::plan::HttpPlan;
use crate::plan::hosts::Host;
use crate::recording::{Asked, Kind};
use crate::report::CancelKind;
use crate::telemetry::SpanContext;
use crate::text::{HeadTail, truncate};
use crate::tool::outcome::{ToolEnd, ToolOutcome};
use crate::tool::recorded::recorded;

/// Redirects that one call follows.
const MAX_REDIRECTS: usize = 5;
/// Characters of a message that may quote the server.
const MAX_MESSAGE: usize = 300;

/// A call that is about to be made.
pub struct HttpCall<'a> {
    /// The agent that makes it.
    pub agent: &'a str,
    pub plan: &'a HttpPlan,
    /// For its templates.
    pub values: &'a Value,
    pub clients: &'a HttpClients,
    /// Keeps the text of the response.
    pub kept: HeadTail,
    /// Counts calls that are dropped because something was stopped.
    pub cancelled: &'a AtomicU64,
    /// Its place in the trace.
    pub span: SpanContext<'a>,
}

/// Makes the request and follows its redirects, until it ends or `stop` completes with the reason
/// to drop it.
pub async fn call(call: HttpCall<'_>, stop: impl Future<Output = CancelKind>) -> ToolOutcome {
    let mut request = match request::fill(call.plan, call.values) {
        Ok(request) => request,
        Err(message) => return ToolOutcome::failed(&truncate(message, MAX_MESSAGE)),
    };
    call.span.add_to(&mut request.headers);
    let recording = call.clients.recording.as_deref();
    let agent = call.agent.to_owned();
    let asked = || Asked { kind: Kind::Http, agent, request: request.to_recorded() };
    recorded(recording, asked, stop, |stop| send(call, request.clone(), stop)).await
}

async fn send(
    call: HttpCall<'_>,
    request: Request,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let HttpCall { plan, clients, kept, cancelled, .. } = call;
    let mut received = Received::new(kept);
    let exchanged = tokio::select! {
        biased;
        exchanged = exchange(plan, request, clients, &mut received) => exchanged,
        reason = stop => {
            if reason != CancelKind::ToolTimeout {
                cancelled.fetch_add(1, Ordering::Relaxed);
            }
            return outcome(received, ToolEnd::Stopped(reason), None);
        }
    };
    match exchanged {
        Ok(()) if received.is_success() => outcome(received, ToolEnd::Succeeded, None),
        Ok(()) => outcome(received, ToolEnd::Failed, None),
        Err(message) => outcome(received, ToolEnd::Failed, Some(truncate(message, MAX_MESSAGE))),
    }
}

/// Sends the request, follows redirects, and reads the final response.
///
/// # Errors
/// A message for the model.
async fn exchange(
    plan: &HttpPlan,
    mut request: Request,
    clients: &HttpClients,
    received: &mut Received,
) -> Result<(), String> {
    plan.hosts.permit(&request.url).map_err(|why| format!("not sent to {why}"))?;
    for _ in 0..=MAX_REDIRECTS {
        let client = clients.get(&plan.hosts, &request.url).map_err(|error| error.to_string())?;
        let response = client.execute(request.to_reqwest()).await;
        let response = response.map_err(|error| request_error(error, &request))?;
        let status = response.status();
        received.status = Some(status);
        match redirect::next_request(&request, &response, &plan.hosts) {
            Ok(Some(next)) => request = next,
            Ok(None) => return read(response, &request, received).await,
            Err(why) => return Err(format!("{}: {why}", status_line(status))),
        }
    }
    Err(format!("too many redirects (limit {MAX_REDIRECTS})"))
}

async fn read(
    mut response: Response,
    request: &Request,
    received: &mut Received,
) -> Result<(), String> {
    received.begin(response.headers());
    if request.method == Method::HEAD {
        received.keep_headers(response.headers());
        return Ok(());
    }
    while received.has_room() {
        // A small compressed body can expand to a large one without any wait. Other tasks, and the
        // timeout of this one, need their turn meanwhile.
        tokio::task::coop::consume_budget().await;
        match response.chunk().await {
            Ok(Some(piece)) => received.push(&piece),
            Ok(None) => break,
            Err(error) => {
                let cause = innermost(&error.without_url());
                return Err(format!(
                    "the response from {} broke off: {cause}",
                    Host::of(&request.url)
                ));
            }
        }
    }
    Ok(())
}

/// Describes why a request has no response. Leaves out the URL, which can hold a secret.
fn request_error(error: reqwest::Error, request: &Request) -> String {
    let advice = net::advice(&error);
    let error = error.without_url();
    let host = Host::of(&request.url);
    if !error.is_connect() {
        return format!("the connection to {host} failed: {}", innermost(&error));
    }
    if error.is_timeout() {
        return format!("cannot connect to {host} within {CONNECT_TIMEOUT:?}{advice}");
    }
    format!("cannot connect to {host}: {}{advice}", innermost(&error))
}

fn outcome(received: Received, end: ToolEnd, failure: Option<String>) -> ToolOutcome {
    let (status, is_success) = (received.status, received.is_success());
    let (output, is_whole) = received.finish();
    let mut outcome = ToolOutcome::new(end, output);
    outcome.http_status = status.map(|status| status.as_u16());
    if !is_whole {
        outcome.truncated = true;
        outcome.add_note(&format!(
            "the rest of the response was not read: it exceeds {} MiB",
            MAX_BODY >> 20
        ));
    }
    match (failure, status) {
        (Some(message), _) => outcome.add_note(&message),
        (None, Some(status)) if outcome.output.is_empty() || !is_success => {
            outcome.add_note(&status_line(status));
        }
        (None, _) => {}
    }
    outcome
}
