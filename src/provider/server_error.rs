//! The errors of servers: from a status, or the error object of a body, to an [`ErrorKind`] and
//! whether another attempt may succeed.
//!
//! Even servers of one API agree on neither the form nor the words of an error, so this reads every
//! form in use and knows the words that matter.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::error::Effect;
use super::quirks::Quirks;
use super::retry_after::{MAX_WAIT, rate_limit_reset, reset_in, seconds, stated_wait};
use crate::report::ErrorKind;
use crate::report::ErrorKind::{
    Auth, BadRequest, ContextLength, InvalidResponse, Network, Overloaded, RateLimited,
};
use crate::text::json;
use words::{
    FREE_MODELS, MODEL_MISTAKES, TOO_LONG, TOO_LONG_CODES, USED_UP, USED_UP_CODES, WRONG_KEY,
};

mod words;

/// The part of an error's body that is read. Parsed JSON takes many times the memory of its text.
const MAX_BODY: usize = 64 * 1024;

/// An error as a server described it. May contain secrets: see `Secrets::quote`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    pub message: Option<String>,
    /// The wait that the body asks for.
    pub retry_after: Option<Duration>,
    /// `code`, `type` and `status` in lower case, separated by spaces.
    codes: String,
    /// The number given as `code` or `status` in the body.
    status: Option<u16>,
    /// The setting that the error is about.
    param: Option<String>,
    /// The error shows what the model wrote: the model's mistake, not the request's.
    shows_generation: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub kind: ErrorKind,
    pub retryable: bool,
}

const fn verdict(kind: ErrorKind, retryable: bool) -> Verdict {
    Verdict { kind, retryable }
}

impl ServerError {
    /// From the JSON of an `error`: an object or a string.
    pub fn from_error(json: &str) -> Self {
        match parse(json.as_bytes()) {
            Some(object @ Value::Object(_)) => Self::from_object(&object),
            Some(Value::String(message)) => Self { message: Some(message), ..Self::default() },
            _ => Self { message: Some(json.to_owned()), ..Self::default() },
        }
    }

    /// From a whole body: `{"error": …}`, `[{"error": …}]`, `{"message": …}`, `{"detail": …}` or
    /// text.
    pub fn from_body(body: &[u8]) -> Self {
        let Some(value) = parse(body) else {
            let body = String::from_utf8_lossy(&body[..body.len().min(MAX_BODY)]);
            let message = text_of(&body);
            let retry_after = message.as_deref().and_then(stated_wait);
            return Self { message, retry_after, ..Self::default() };
        };
        Self::from_value(&value)
    }

    fn from_value(value: &Value) -> Self {
        let value = match value {
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
                    found.codes.push_str(&word.to_ascii_lowercase());
                    found.codes.push(' ');
                }
                _ => {}
            }
        }
        found.param = error.get("param").and_then(Value::as_str).map(str::to_owned);
        found.shows_generation = error.get("failed_generation").is_some();
        found.take_details(error.get("details"));
        found.take_cause(error);
        found.take_wait(error);
        found.retry_after =
            found.retry_after.or_else(|| found.message.as_deref().and_then(stated_wait));
        found
    }

    /// Adds the error of the server behind a gateway: OpenRouter's `metadata.raw`, which is JSON or
    /// text, or Azure's `innererror`.
    fn take_cause(&mut self, error: &Value) {
        let raw = error.pointer("/metadata/raw").or_else(|| error.get("innererror"));
        let cause = match raw {
            Some(Value::String(text)) => Self::from_body(text.as_bytes()),
            Some(object @ Value::Object(_)) => Self::from_value(object),
            _ => return,
        };
        self.codes.push_str(&cause.codes);
        self.retry_after = self.retry_after.or(cause.retry_after);
        let Some(words) = cause.message else { return };
        let by = error.pointer("/metadata/provider_name").and_then(Value::as_str);
        let by = by.map(|name| format!(" ({name})")).unwrap_or_default();
        match &mut self.message {
            Some(message) if message.contains(&words) => {}
            Some(message) => message.push_str(&format!(": {words}{by}")),
            None => self.message = Some(words + &by),
        }
    }

    /// Reads a wait that stands in the body: in a field, or in the headers that OpenRouter repeats
    /// there for its rate limits.
    fn take_wait(&mut self, error: &Value) {
        let now = Timestamp::now();
        let metadata = error.get("metadata").unwrap_or(&Value::Null);
        let fields = [
            error.get("retry_after"),
            metadata.get("retry_after"),
            metadata.get("retry_after_seconds"),
        ];
        let stated = |field: &Value| reset_in(field.to_string().trim_matches('"'), now);
        let stated = fields.into_iter().flatten().find_map(stated).map(|wait| wait.min(MAX_WAIT));
        let reset = || {
            let headers = metadata.get("headers").filter(|_| self.status == Some(429))?;
            rate_limit_reset(&headers_of(headers), now)
        };
        self.retry_after = self.retry_after.or(stated).or_else(reset);
    }

    /// Reads Google's details of a limit: how long to wait, and whether it is a daily one.
    fn take_details(&mut self, details: Option<&Value>) {
        for detail in details.and_then(Value::as_array).into_iter().flatten() {
            let delay = detail.get("retryDelay").and_then(Value::as_str);
            if let Some(wait) = delay.and_then(|delay| seconds(delay.strip_suffix('s')?)) {
                self.retry_after = Some(wait.min(MAX_WAIT));
            }
            let violations = detail.get("violations").and_then(Value::as_array);
            for quota in violations.into_iter().flatten().filter_map(|one| one.get("quotaId")) {
                let quota = quota.as_str().unwrap_or_default();
                self.codes.push_str(match (quota.contains("PerDay"), quota.contains("PerModel")) {
                    (true, true) => "model_quota ",
                    (true, false) => "insufficient_quota ",
                    (false, true) => "",
                    (false, false) => "account_limit ",
                });
            }
        }
    }

    /// Judges the error of a response with this status, or `None` for one inside a success.
    pub fn verdict(&self, status: Option<u16>) -> Verdict {
        let is_rejection =
            status.is_none_or(|status| (400..500).contains(&status) && status != 429);
        if self.has_code(&USED_UP_CODES)
            || ((is_rejection || status == Some(429)) && self.says(&USED_UP))
        {
            return verdict(RateLimited, false);
        }
        // More than the tokens of a whole minute: has status 429, but waiting does not help.
        if self.says(&["request too large for"]) {
            return verdict(ContextLength, false);
        }
        // Gateways pass it on with any status.
        if status != Some(429) && (self.has_code(&TOO_LONG_CODES) || self.says(&TOO_LONG)) {
            return verdict(ContextLength, false);
        }
        if is_rejection && self.says(&WRONG_KEY) {
            return verdict(Auth, false);
        }
        if is_rejection && (self.shows_generation || self.has_code(&MODEL_MISTAKES)) {
            return verdict(InvalidResponse, true);
        }
        match status {
            Some(status) => verdict_of(status),
            None => self.verdict_by_code(),
        }
    }

    fn verdict_by_code(&self) -> Verdict {
        let overloaded = ["overloaded", "unavailable", "server_error", "internal", "api_error"];
        if self.has_code(&["rate_limit", "too_many_requests", "resource_exhausted", "throttl"]) {
            verdict(RateLimited, true)
        } else if self.has_code(&overloaded) {
            verdict(Overloaded, true)
        } else if self.has_code(&["timeout", "deadline"]) {
            verdict(Network, true)
        } else if self.has_code(&["api_key", "auth", "permission"]) {
            verdict(Auth, false)
        } else if let Some(status) = self.status {
            verdict_of(status)
        } else if self.has_code(&["invalid", "not_found", "bad_request", "unsupported"]) {
            verdict(BadRequest, false)
        } else if self.says(&["overloaded", "try again", "internal server error", "unavailable"]) {
            verdict(Overloaded, true)
        } else {
            verdict(InvalidResponse, false)
        }
    }

    /// What the error of a call to this model means for other calls. `status` as for
    /// [`Self::verdict`].
    pub fn effect(&self, status: Option<u16>, verdict: Verdict, model: &str) -> Effect {
        let about_content = self.says(&["moderation", "flagged"]);
        let of_model = self.has_code(&["model_quota"]) && !self.has_code(&["insufficient_quota"]);
        let about_model = status == Some(404) || self.has_code(&["model_not_found"]);
        match (verdict.kind, verdict.retryable) {
            (RateLimited, true) if self.is_about_account(model) => Effect::PauseEndpoint,
            (RateLimited, true) => Effect::PauseModel,
            (Overloaded, true) if status == Some(529) => Effect::PauseEndpoint,
            (Overloaded, true) if self.has_code(&["overloaded_error"]) => Effect::PauseEndpoint,
            (RateLimited, false) if of_model => Effect::StopModel,
            (Auth | BadRequest, false) if about_model => Effect::StopModel,
            (Auth, false) if about_content => Effect::Call,
            // Gateways restrict keys by model, and credit may do for a cheaper one.
            (Auth | RateLimited, false) => {
                let status = status.filter(|status| *status != 400).or(self.status);
                let is_denied = matches!(status, Some(402 | 403))
                    || self.says(&[FREE_MODELS])
                    || (status.is_none() && self.has_code(&["permission"]));
                match is_denied || self.names_model(model) {
                    true => Effect::DenyModel,
                    false => Effect::StopEndpoint,
                }
            }
            _ => Effect::Call,
        }
    }

    /// Whether a rate limit is one of the account or the key and so holds for all models.
    fn is_about_account(&self, model: &str) -> bool {
        const ACCOUNT: [&str; 8] = [
            "organization",
            "account",
            "workspace",
            "project",
            "all models",
            "api key",
            "your key",
            "this key",
        ];
        self.has_code(&["account_limit"]) || (self.says(&ACCOUNT) && !self.names_model(model))
    }

    /// Whether the message names the model or speaks of one.
    fn names_model(&self, model: &str) -> bool {
        let Some(message) = &self.message else { return false };
        let message = message.to_lowercase();
        let own = model.rsplit('/').next().unwrap_or_default().to_lowercase();
        let is_word = |name: &str| {
            !name.is_empty()
                && message.match_indices(name).any(|(at, _)| {
                    let around = [
                        message[..at].chars().next_back(),
                        message[at + name.len()..].chars().next(),
                    ];
                    around.iter().flatten().all(|c| !c.is_alphanumeric())
                })
        };
        is_word(&own) || is_word("model")
    }

    /// The quirks of the server that the error reveals.
    pub fn quirks(&self, verdict: Verdict) -> Quirks {
        if verdict.kind != BadRequest {
            return Quirks::default();
        }
        let words = [&self.message, &self.param].map(|words| words.as_deref().unwrap_or_default());
        Quirks::in_words(&words.join(" "))
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        codes.iter().any(|code| self.codes.contains(code))
    }

    fn says(&self, phrases: &[&str]) -> bool {
        let Some(message) = &self.message else { return false };
        let message = message.to_ascii_lowercase();
        phrases.iter().any(|phrase| message.contains(phrase))
    }
}

fn parse(json: &[u8]) -> Option<Value> {
    if json.len() > MAX_BODY { None } else { json::value(json).ok() }
}

/// Headers that a body repeats as an object.
fn headers_of(object: &Value) -> HeaderMap {
    let entries = object.as_object().into_iter().flatten();
    let header = |(name, value): (&String, &Value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value.to_string().trim_matches('"')).ok()?))
    };
    entries.filter_map(header).collect()
}

fn http_status(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|status| (400..600).contains(status))
}

fn verdict_of(status: u16) -> Verdict {
    match status {
        401 | 403 => verdict(Auth, false),
        // Out of credit: waiting does not help.
        402 => verdict(RateLimited, false),
        429 => verdict(RateLimited, true),
        // It comes from a proxy, not from the server.
        407 => verdict(Network, false),
        408 | 502 | 504 => verdict(Network, true),
        409 | 425 | 500.. => verdict(Overloaded, true),
        _ => verdict(BadRequest, false),
    }
}

/// The first line of a text, or of the visible text of an HTML page.
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
            // A title says more than the first words of the body, so `head` is read if it has one.
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
