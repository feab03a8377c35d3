//! One call of an HTTP tool: a request and what it leads to, never anywhere but where the file says.
//!
//! The call is one future. Dropping it closes its connection, so stopping it takes no time.

mod client;
mod received;
mod redirect;
mod request;

use reqwest::{Method, Response};

pub use client::HttpClients;

use super::context::CallInput;
use super::outcome::{ToolEnd, ToolOutcome};
use crate::net::{CONNECT_TIMEOUT, innermost};
use crate::plan::HttpPlan;
use crate::report::CancelKind;
use crate::text::truncate;
use received::{Received, status_line};
use request::Request;

/// Redirects that are followed in one call.
const MOST_REDIRECTS: usize = 5;
/// Characters of a message that others had a part in.
const LONGEST_MESSAGE: usize = 300;

/// Makes the request and follows its redirects, until it ends or `stop` completes with the reason
/// to drop it.
pub async fn call(
    plan: &HttpPlan,
    input: CallInput<'_>,
    stop: impl Future<Output = CancelKind>,
) -> ToolOutcome {
    let request = match request::fill(plan, &input) {
        Ok(request) => request,
        Err(message) => return ToolOutcome::failed(&truncate(message, LONGEST_MESSAGE)),
    };
    let clients = input.context.http;
    let mut received = Received::new(input.max_output);
    let exchanged = tokio::select! {
        biased;
        exchanged = exchange(plan, request, clients, &mut received) => exchanged,
        reason = stop => {
            if reason != CancelKind::ToolTimeout {
                clients.count_cancelled();
            }
            return outcome(received, ToolEnd::Stopped(reason), None);
        }
    };
    match exchanged {
        Ok(()) if received.is_success() => outcome(received, ToolEnd::Succeeded, None),
        Ok(()) => outcome(received, ToolEnd::Failed, None),
        Err(message) => {
            outcome(received, ToolEnd::Failed, Some(truncate(message, LONGEST_MESSAGE)))
        }
    }
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

fn outcome(received: Received, end: ToolEnd, failure: Option<String>) -> ToolOutcome {
    let (status, is_success) = (received.status, received.is_success());
    let (output, is_whole) = received.finish();
    let mut outcome = ToolOutcome::new(end, output);
    outcome.http_status = status.map(|status| status.as_u16());
    if !is_whole {
        outcome.add_note("the rest of the answer was not read: it is too long");
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
