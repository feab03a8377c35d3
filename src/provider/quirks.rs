//! The deviations of servers from their API. Some are known by host; the others are learned from
//! rejections, model by model: the call is repeated at once in the form that the server accepts.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::request::ChatRequest;
use crate::vendor;

/// The deviations to observe in a request. By default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The server rejects `stream_options`. It reports tokens anyway, or never.
    pub no_stream_options: bool,
    /// The server takes the limit of output tokens as `max_completion_tokens` only.
    pub max_completion_tokens: bool,
    /// The server rejects output formats, so only the messages ask for a structured answer.
    pub no_output_format: bool,
}

/// Words of rejections of an output format.
const OUTPUT_FORMATS: [&str; 13] = [
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "output_config",
    "output config",
    "output_format",
    "output format",
    "structured output",
    "response_schema",
    "response_mime_type",
    "response mime type",
    // All that Gemini says about a schema it does not accept.
    "contains an invalid argument",
];

impl Quirks {
    pub fn of_host(host: &str) -> Self {
        let max_completion_tokens = vendor::renames_token_limit(host);
        Self { max_completion_tokens, ..Self::default() }
    }

    /// The quirks that a server's words about a rejected request reveal.
    pub fn in_words(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let mentions = |name: &str| words.contains(name);
        Self {
            no_stream_options: mentions("stream_options") || mentions("include_usage"),
            max_completion_tokens: mentions("max_completion_tokens"),
            no_output_format: OUTPUT_FORMATS.iter().any(|name| mentions(name)),
        }
    }

    /// These and the others, as far as they concern the request.
    pub fn and(self, other: Self, request: &ChatRequest<'_>) -> Self {
        let has_limit = request.max_output_tokens.is_some();
        let has_schema = request.output_schema.is_some();
        Self {
            no_stream_options: self.no_stream_options || other.no_stream_options,
            max_completion_tokens: self.max_completion_tokens
                || (has_limit && other.max_completion_tokens),
            no_output_format: self.no_output_format || (has_schema && other.no_output_format),
        }
    }
}

/// The quirks of one endpoint.
#[derive(Debug)]
pub struct LearnedQuirks {
    of_host: Quirks,
    of_models: Mutex<HashMap<String, Quirks>>,
}

impl LearnedQuirks {
    pub fn new(host: &str) -> Self {
        Self { of_host: Quirks::of_host(host), of_models: Mutex::default() }
    }

    pub fn of(&self, model: &str) -> Quirks {
        self.of_models.lock().get(model).copied().unwrap_or(self.of_host)
    }

    /// Keeps the quirks with which the server has accepted a request.
    pub fn keep(&self, model: &str, quirks: Quirks) {
        if self.of(model) != quirks {
            self.of_models.lock().insert(model.to_owned(), quirks);
        }
    }
}
