//! Why a server could not be asked, in words that name neither its path nor a secret.

use std::error::Error;
use std::fmt::{self, Display, Formatter};

use rmcp::transport::streamable_http_client::StreamableHttpError;

use crate::net;
use crate::text::HeadTail;

/// Bytes of a message that a server had a part in.
const LONGEST_MESSAGE: usize = 2000;

/// What is wrong with a server, in words that go after its name. Some of them can be the server's own, so
/// nothing is ever looked for in them.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It ended: at what time, and how.
    Ended(&'static str, String),
    Other(String),
}

impl Trouble {
    pub const ENDED: Self = Self::Ended("", String::new());

    /// With something more to be said of it.
    pub fn and(self, more: &str) -> Self {
        match self {
            Self::Ended(when, how) => Self::Ended(when, how + more),
            Self::Other(words) => Self::Other(words + more),
        }
    }

    /// The same, when a call was waiting for its result.
    pub fn in_mid_call(&self) -> String {
        match self {
            Self::Ended(_, how) => format!("ended in mid-call{how}"),
            Self::Other(words) => words.clone(),
        }
    }
}

impl From<String> for Trouble {
    fn from(words: String) -> Self {
        Self::Other(words)
    }
}

impl Display for Trouble {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(when, how) => write!(f, "ended{when}{how}"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// What went wrong with a connection.
pub fn of_transport(error: &(dyn Error + Send + Sync + 'static)) -> String {
    use StreamableHttpError as Fault;
    match error.downcast_ref::<Fault<reqwest::Error>>() {
        Some(Fault::Client(error)) => of_request(error),
        Some(Fault::UnexpectedServerResponse(answer)) => of_answer(answer),
        Some(Fault::UnexpectedContentType(kind)) => {
            format!("it answered with {}: {NO_SERVER}", kind.as_deref().unwrap_or("no content"))
        }
        Some(Fault::AuthRequired(_)) => format!("HTTP 401 Unauthorized ({NO_KEY})"),
        _ => innermost(error),
    }
}

const NO_KEY: &str = "does it want an authorization in its headers?";
const NO_SERVER: &str = "is this the address where it speaks streamable HTTP?";

/// An answer that is none of the protocol's: `HTTP STATUS: BODY`, or what is wrong with it.
fn of_answer(answer: &str) -> String {
    let Some(answer) = answer.strip_prefix("HTTP ") else {
        let fault = answer.rsplit_once("ServerJsonRpcMessage: ").map_or(answer, |(_, fault)| fault);
        return format!("it answered with no message of the protocol: {fault}");
    };
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let hint = match status.get(..3) {
        Some(code) if code.starts_with('3') => {
            "redirects are not followed: name where they lead to"
        }
        Some("401") => NO_KEY,
        Some("404" | "405") => NO_SERVER,
        _ => "",
    };
    let mut message = format!("HTTP {status}");
    // A page made for people says no more than the status.
    let body = body.trim();
    if !body.is_empty() && !body.starts_with('<') {
        message.push_str(&format!(": {body}"));
    }
    if !hint.is_empty() {
        message.push_str(&format!(" ({hint})"));
    }
    message
}

/// An address can hold a secret, so it is left out.
fn of_request(error: &reqwest::Error) -> String {
    match (error.status(), error.source()) {
        (Some(status), _) => format!("HTTP {status}"),
        (None, Some(_)) => net::innermost(error),
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
    let mut capture = HeadTail::new(LONGEST_MESSAGE);
    capture.push(message.as_bytes());
    capture.finish().text
}
