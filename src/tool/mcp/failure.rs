//! Why a server could not be asked, in words that name neither its path nor a secret.

use std::error::Error;

use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::provider::http;
use crate::tool::capture::Capture;

/// Bytes of a message that a server had a part in.
const LONGEST_MESSAGE: usize = 2000;

/// What went wrong with a connection.
pub fn of_transport(error: &(dyn Error + Send + Sync + 'static)) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => of_request(error),
        _ => {
            let cause = innermost(error);
            match cause.contains("HTTP 3") {
                true => format!("{cause} (redirects are not followed: name where they lead to)"),
                false => cause,
            }
        }
    }
}

/// An address can hold a secret, so it is left out.
fn of_request(error: &reqwest::Error) -> String {
    match (error.status(), error.source()) {
        (Some(status), _) => format!("HTTP {status}"),
        (None, Some(_)) => http::innermost(error),
        (None, None) => "the connection broke".to_owned(),
    }
}

/// The last cause of an error.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A message of readable length.
pub fn cut(message: &str) -> String {
    let mut capture = Capture::new(LONGEST_MESSAGE);
    capture.push(message.as_bytes());
    capture.finish().text
}
