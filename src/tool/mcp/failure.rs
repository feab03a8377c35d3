//! Failures of MCP servers, described without the server's path and without secrets.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use reqwest::StatusCode;
use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::net::{self, innermost};
use crate::text::{Excerpt, HeadTail};
use crate::tool::http::status_line;

/// Bytes of a message that may quote the server.
const MAX_MESSAGE: usize = 2000;

/// The reason a server cannot be used, displayed as the rest of a sentence that begins with the
/// server's name.
#[derive(Debug, Clone, Default)]
pub struct ServerFailure {
    /// `None`: the connection closed. The message may quote the server.
    pub message: Option<String>,
    pub phase: Phase,
    /// The exit status of the server's process, in words.
    pub exit: Option<String>,
    /// The last lines that the server wrote to stderr.
    pub stderr: String,
    /// The last lines that it printed to stdout in place of messages.
    pub stdout: String,
}

/// What a server was doing when its connection closed.
#[derive(Debug, Clone, Copy, Default)]
pub enum Phase {
    #[default]
    Running,
    Starting,
    Call,
}

impl ServerFailure {
    /// A connection that closed.
    pub fn closed(phase: Phase) -> Self {
        Self { phase, ..Self::default() }
    }
}

impl From<String> for ServerFailure {
    fn from(message: String) -> Self {
        Self { message: Some(message), ..Self::default() }
    }
}

impl Display for ServerFailure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => f.write_str(message)?,
            None => {
                let event = if self.exit.is_some() { "exited" } else { "closed the connection" };
                let phase = match self.phase {
                    Phase::Running => "",
                    Phase::Starting => " while starting",
                    Phase::Call => " during the call",
                };
                write!(f, "{event}{phase}")?;
            }
        }
        if let Some(exit) = &self.exit {
            write!(f, " ({exit})")?;
        }
        if !self.stderr.is_empty() {
            write!(f, "; last lines of stderr:\n{}", self.stderr)?;
        }
        if !self.stdout.is_empty() {
            write!(f, "; it printed to stdout, which is for MCP messages only:\n{}", self.stdout)?;
        }
        Ok(())
    }
}

/// Describes the failure of a connection.
pub fn of_transport(error: &(dyn Error + Send + Sync + 'static)) -> String {
    use StreamableHttpError::{
        AuthRequired, Client, HttpStatus, UnexpectedContentType, UnexpectedServerResponse,
    };
    match error.downcast_ref() {
        Some(Client(error)) => of_request(error),
        Some(HttpStatus(error)) => {
            StatusCode::from_u16(error.status).map_or_else(|_| error.to_string(), status_line)
        }
        Some(UnexpectedServerResponse(text)) => of_response(text),
        Some(UnexpectedContentType(found)) => {
            let found = found.as_deref().unwrap_or("no content type");
            format!("it responded with {found} ({ENDPOINT_HINT})")
        }
        Some(AuthRequired(_)) => {
            format!("{} ({AUTHORIZATION_HINT})", status_line(StatusCode::UNAUTHORIZED))
        }
        _ => innermost(error),
    }
}

const AUTHORIZATION_HINT: &str = "does it require an authorization header?";
const ENDPOINT_HINT: &str = "is this the URL of a streamable HTTP endpoint?";
const REDIRECT_HINT: &str = "redirects are not followed; use the final URL";

/// Leaves out the URL, which can hold a secret.
fn of_request(error: &reqwest::Error) -> String {
    match (error.status(), error.source()) {
        (Some(status), _) => status_line(status),
        (None, Some(cause)) => format!("{}{}", innermost(cause), net::advice(error)),
        (None, None) => "the connection failed".to_owned(),
    }
}

/// Describes a response that is not a message of the protocol: `HTTP STATUS: BODY`, or what is
/// wrong with the body.
fn of_response(text: &str) -> String {
    let Some((status, body)) = status_and_body(text) else { return text.to_owned() };
    let mut message = status_line(status);
    // An HTML page says no more than the status.
    if !body.is_empty() && !body.starts_with('<') {
        message.push_str(&format!(": {body}"));
    }
    let hint = match status {
        StatusCode::UNAUTHORIZED => AUTHORIZATION_HINT,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ENDPOINT_HINT,
        status if status.is_redirection() => REDIRECT_HINT,
        _ => return message,
    };
    format!("{message} ({hint})")
}

fn status_and_body(text: &str) -> Option<(StatusCode, &str)> {
    let rest = text.strip_prefix("HTTP ")?;
    let status = StatusCode::from_bytes(rest.get(..3)?.as_bytes()).ok()?;
    let body = rest.split_once(": ").map_or("", |(_, body)| body);
    Some((status, body.trim()))
}

/// Shortens a message that may quote a server.
pub fn excerpt(message: &str) -> Excerpt {
    let mut capture = HeadTail::new(MAX_MESSAGE);
    capture.push(message.as_bytes());
    capture.finish()
}
