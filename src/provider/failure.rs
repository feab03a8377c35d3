//! What a failed call means: from a status, or from the error object of a body, to an
//! [`ErrorKind`] and whether another attempt may succeed.
//!
//! Servers of one protocol agree on neither the shape nor the words of an error, so this reads
//! every shape in use and knows the words that matter.

use std::time::Duration;

use serde_json::Value;

use super::Effect;
use super::retry_after::{MAX_WAIT, seconds};
use crate::report::ErrorKind;

/// What is looked at of an error's body.
const READ_BYTES: usize = 64 * 1024;

/// An error as a server described it. Not yet fit for a message: see `Secrets::quote`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    pub message: Option<String>,
    /// How long the body says to wait.
    pub retry_after: Option<Duration>,
    /// `code`, `type` and `status`, in lower case, separated by spaces.
    words: String,
    /// A status given as a number inside the body.
    status: Option<u16>,
}

/// How servers that answer 400 to it say that a key is of no use.
const WRONG_KEY: [&str; 4] =
    ["api key not valid", "api key expired", "invalid api key", "incorrect api key"];

/// How servers that have no word of their own for it say that no more may be used up.
const USED_UP: [&str; 2] = ["credit balance is too low", "reached your specified api usage limits"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub kind: ErrorKind,
    pub retryable: bool,
}

const fn verdict(kind: ErrorKind, retryable: bool) -> Verdict {
    Verdict { kind, retryable }
}

impl ServerError {
    /// From the JSON of an `error`: an object, or just a string.
    pub fn from_error(json: &str) -> Self {
        match parse(json.as_bytes()) {
            Some(object @ Value::Object(_)) => Self::from_object(&object),
            Some(Value::String(message)) => Self { message: Some(message), ..Self::default() },
            _ => Self { message: Some(json.to_owned()), ..Self::default() },
        }
    }

    /// From a whole body: `{"error": …}`, `[{"error": …}]`, `{"message"}`, `{"detail"}`, or text.
    pub fn from_body(body: &[u8]) -> Self {
        let Some(value) = parse(body) else {
            let body = String::from_utf8_lossy(&body[..body.len().min(READ_BYTES)]);
            return Self { message: text_of(&body), ..Self::default() };
        };
        let value = match &value {
            Value::Array(items) => items.first().unwrap_or(&Value::Null),
            other => other,
        };
        match value.get("error") {
            Some(error @ Value::Object(_)) => Self::from_object(error),
            Some(Value::String(error)) => {
                let mut found = Self::from_object(value);
                found.message.get_or_insert_with(|| error.clone());
                found
            }
            Some(Value::Null) | None => Self::from_object(value),
            Some(other) => Self { message: Some(other.to_string()), ..Self::default() },
        }
    }

    fn from_object(error: &Value) -> Self {
        let message = ["message", "detail", "error_message", "msg"]
            .iter()
            .filter_map(|key| error.get(key))
            .find_map(|value| match value {
                Value::String(text) if text.trim().is_empty() => None,
                Value::String(text) => Some(text.clone()),
                Value::Null => None,
                other => Some(other.to_string()),
            });
        let mut found = Self { message, ..Self::default() };
        for value in ["code", "status", "type"].iter().filter_map(|key| error.get(key)) {
            match value {
                Value::Number(number) => {
                    found.status = found.status.or(number.as_u64().and_then(http_status));
                }
                Value::String(word) => {
                    found.status = found.status.or(word.parse().ok().and_then(http_status));
                    found.words.push_str(&word.to_ascii_lowercase());
                    found.words.push(' ');
                }
                _ => {}
            }
        }
        found.take_details(error.get("details"));
        found
    }

    /// What Google's servers say of a limit: how long to wait, and whether it is one of the day.
    fn take_details(&mut self, details: Option<&Value>) {
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            let delay = detail.get("retryDelay").and_then(Value::as_str);
            if let Some(wait) = delay.and_then(|delay| seconds(delay.strip_suffix('s')?)) {
                self.retry_after = Some(wait.min(MAX_WAIT));
            }
            let violations = detail.get("violations").and_then(Value::as_array);
            for quota in violations.into_iter().flatten().filter_map(|one| one.get("quotaId")) {
                let quota = quota.as_str().unwrap_or_default();
                if quota.contains("PerDay") {
                    let is_of_model = quota.contains("PerModel");
                    let word = if is_of_model { "model_quota " } else { "insufficient_quota " };
                    self.words.push_str(word);
                }
            }
        }
    }

    /// Of an answer with this status, or of an error inside a 200 (`None`).
    pub fn verdict(&self, status: Option<u16>) -> Verdict {
        use ErrorKind::{Auth, BadRequest, ContextLength, InvalidResponse, RateLimited};
        let refused = status.is_none_or(|status| (400..500).contains(&status) && status != 429);
        if self.has_word(&["insufficient_quota", "model_quota", "billing"])
            || (refused && self.says(&USED_UP))
        {
            return verdict(RateLimited, false);
        }
        // More than a whole minute's tokens: said with 429, but no wait will mend it.
        if self.says(&["request too large for"]) {
            return verdict(ContextLength, false);
        }
        if refused && self.is_about_context() {
            return verdict(ContextLength, false);
        }
        if refused && self.says(&WRONG_KEY) {
            return verdict(Auth, false);
        }
        if let Some(status) = status {
            return of_status(status);
        }
        if self.has_word(&["rate_limit", "too_many_requests", "resource_exhausted", "throttl"]) {
            verdict(RateLimited, true)
        } else if self.has_word(&[
            "overloaded",
            "unavailable",
            "server_error",
            "internal",
            "api_error",
        ]) {
            verdict(ErrorKind::Overloaded, true)
        } else if self.has_word(&["timeout", "deadline"]) {
            verdict(ErrorKind::Network, true)
        } else if self.has_word(&["api_key", "auth", "permission"]) {
            verdict(Auth, false)
        } else if let Some(status) = self.status {
            of_status(status)
        } else if self.has_word(&["invalid", "not_found", "bad_request", "unsupported"]) {
            verdict(BadRequest, false)
        } else {
            verdict(InvalidResponse, false)
        }
    }

    /// What an answer with this status, or an error inside a 200, says of the calls beside it.
    pub fn effect(&self, status: Option<u16>, verdict: Verdict) -> Effect {
        let about_content = self.says(&["moderation", "flagged"]);
        let of_model = self.has_word(&["model_quota"]) && !self.has_word(&["insufficient_quota"]);
        let about_model = status == Some(404) || self.has_word(&["model_not_found"]);
        match (verdict.kind, verdict.retryable) {
            (ErrorKind::RateLimited, true) => Effect::Pause,
            (ErrorKind::Overloaded, true) if status == Some(529) => Effect::Pause,
            (ErrorKind::Overloaded, true) if self.has_word(&["overloaded_error"]) => Effect::Pause,
            (ErrorKind::RateLimited, false) if of_model => Effect::Model,
            (ErrorKind::Auth | ErrorKind::BadRequest, false) if about_model => Effect::Model,
            (ErrorKind::Auth, false) if about_content => Effect::Call,
            (ErrorKind::Auth | ErrorKind::RateLimited, false) => Effect::Endpoint,
            _ => Effect::Call,
        }
    }

    fn is_about_context(&self) -> bool {
        self.has_word(&["context_length_exceeded", "exceed_context_size", "context_window"])
            || self.says(&[
                "maximum context length",
                "context length exceeded",
                "exceeds the context",
                "exceed the context",
                "exceeds the available context",
                "exceed context limit",
                "exceeds the maximum number of tokens",
                "context window",
                "prompt is too long",
                "input is too long",
            ])
    }

    fn has_word(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.words.contains(word))
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let Some(message) = &self.message else { return false };
        let message = message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }
}

/// Parsed JSON takes many times the memory of its text.
fn parse(json: &[u8]) -> Option<Value> {
    if json.len() > READ_BYTES { None } else { serde_json::from_slice(json).ok() }
}

fn http_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn of_status(status: u16) -> Verdict {
    use ErrorKind::{Auth, BadRequest, Network, Overloaded, RateLimited};
    match status {
        401 | 403 => verdict(Auth, false),
        // Out of credit: no wait of ours mends that.
        402 => verdict(RateLimited, false),
        429 => verdict(RateLimited, true),
        408 | 502 | 504 => verdict(Network, true),
        409 | 425 | 500.. => verdict(Overloaded, true),
        _ => verdict(BadRequest, false),
    }
}

/// The first line of a text, or of what a browser would show of an HTML page.
fn text_of(body: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = body.trim_start_matches('\u{feff}').trim_start();
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push('\n');
        let hidden = ["style", "script", "head"].iter().find(|name| {
            tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
                && !tag[name.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        });
        rest = match hidden.and_then(|name| tag.split_once(&format!("</{name}"))) {
            // A page's title says more than its body's first words, so `head` is entered.
            Some((inside, after)) if !inside.contains("<title") => after,
            _ => tag,
        };
        rest = rest.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
