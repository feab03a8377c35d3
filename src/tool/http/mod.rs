//! One call of an HTTP tool: a request and what it leads to, never anywhere but where the file says.
//!
//! The call is one future. Dropping it closes its connection, so stopping it takes no time.

mod client;
mod received;
mod redirect;
mod request;

use reqwest::{Method, Response};
use serde_json::Value;

pub use client::HttpClients;

use super::{ToolContext, note, status_of_stop};
use crate::net::{CONNECT_TIMEOUT, innermost};
use crate::plan::HttpPlan;
use crate::report::{CancelKind, ToolCallReport, ToolStatus};
use crate::text::truncate;
use received::{Received, status_line};
use request::Request;

/// Redirects that are followed in one call.
const MOST_REDIRECTS: usize = 5;
/// Characters of a message that others had a part in.
const LONGEST_MESSAGE: usize = 300;

/// Makes the request and enters in the report how it ended. `stop` completes with the reason why it
/// is to be dropped. Of the answer `max_output` bytes are kept.
pub async fn call(
    plan: &HttpPlan,
    max_output: usize,
    arguments: &Value,
    context: &ToolContext<'_>,
    stop: impl Future<Output = CancelKind>,
    report: &mut ToolCallReport,
) {
    let mut received = Received::new(max_output);
    let ended = match request::fill(plan, arguments, context) {
        Ok(request) => {
            tokio::select! {
                biased;
                ended = exchange(plan, request, context.http, &mut received) => ended,
                reason = stop => {
                    report.stopped_by = Some(reason);
                    if reason != CancelKind::ToolTimeout {
                        context.http.count_cancelled();
                    }
                    Ok(())
                }
            }
        }
        Err(message) => Err(message),
    };
    settle(report, received, ended.map_err(|why| truncate(why, LONGEST_MESSAGE)));
}

/// Requests until one is answered by something other than a redirect.
///
/// # Errors
/// What went wrong, for the model to read.
async fn exchange(
    plan: &HttpPlan,
    mut request: Request,
    clients: &HttpClients,
    received: &mut Received,
) -> Result<(), String> {
    plan.hosts.permit(&request.url).map_err(|why| format!("not sent: it leads to {why}"))?;
    for _ in 0..=MOST_REDIRECTS {
        let client = clients.of(&plan.hosts, &request.url)?;
        let response = client.execute(request.to_reqwest()).await;
        let response = response.map_err(|error| broken(error, &request, false))?;
        received.status = Some(response.status());
        let led_on = redirect::follow(&mut request, &response, &plan.hosts);
        if !led_on.map_err(|why| format!("{}: {why}", status_line(response.status())))? {
            return read(response, &request, received).await;
        }
    }
    Err(format!("more than {MOST_REDIRECTS} redirects"))
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
        // What little arrives can unpack to much, all of it without a wait: the others, and what
        // may stop this, get their turn between the pieces.
        tokio::task::coop::consume_budget().await;
        match response.chunk().await {
            Ok(Some(piece)) => received.push(&piece),
            Ok(None) => break,
            Err(error) => return Err(broken(error, request, true)),
        }
    }
    Ok(())
}

/// The connection could not be made, or did not last.
fn broken(error: reqwest::Error, request: &Request, answered: bool) -> String {
    // An address can hold a secret; its host is enough.
    let error = error.without_url();
    let host = request.host();
    let cause = innermost(&error);
    match (answered, error.is_connect(), error.is_timeout()) {
        (true, ..) => format!("the answer of {host} broke off: {cause}"),
        (_, true, true) => format!("could not connect to {host} within {CONNECT_TIMEOUT:?}"),
        (_, true, false) => format!("could not connect to {host}: {cause}"),
        (_, false, _) => format!("the connection to {host} broke: {cause}"),
    }
}

fn settle(report: &mut ToolCallReport, received: Received, ended: Result<(), String>) {
    let status = received.status;
    report.http_status = status.map(|status| status.as_u16());
    let (output, is_whole) = received.finish();
    report.truncated = output.truncated;
    report.output = output.text;
    let answered = status.is_some_and(|status| status.is_success());
    report.status = match (report.stopped_by, &ended) {
        (Some(reason), _) => status_of_stop(reason),
        (None, Ok(())) if answered => ToolStatus::Succeeded,
        (None, _) => ToolStatus::Failed,
    };
    if !is_whole {
        note(report, "the rest of the answer was not read: it is too long");
    }
    match (&ended, status) {
        (Err(message), _) => note(report, message),
        (Ok(()), Some(status)) if report.output.is_empty() || !answered => {
            note(report, &status_line(status));
        }
        _ => {}
    }
}
