//! The deviations of servers from their API. Some are known by host; the others are learned from
//! rejections, model by model: the call is repeated at once in the form that the server accepts.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::effort::Efforts;
use super::request::ChatRequest;
use super::settings::RejectedSettings;
use super::turn_quirks::TurnQuirks;
use crate::plan::ProviderPlan;
use crate::vendor::{self, Api, Vendor};

/// The deviations to observe in a request. By default none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quirks {
    /// The server rejects `stream_options`. It reports tokens anyway, or never.
    pub no_stream_options: bool,
    /// The server takes the limit of output tokens as `max_completion_tokens` only.
    pub max_completion_tokens: bool,
    /// The server takes the effort as `reasoning.effort`.
    pub nested_effort: bool,
    /// The server rejects output formats, so only the messages ask for a structured answer.
    pub no_output_format: bool,
    /// The settings that the model rejects.
    pub rejected: RejectedSettings,
    /// The server serves the model by the Responses API only.
    pub responses_api: bool,
    /// The model takes no images, so those of tools are left out.
    pub no_images: bool,
    /// The server rejects marks for its cache.
    pub no_cache_marks: bool,
    /// The efforts that the model may accept.
    pub efforts: Efforts,
    /// What the server demands of turns and tools.
    pub turns: TurnQuirks,
}

/// Words of rejections of an output format.
const OUTPUT_FORMATS: [&str; 14] = [
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "output_config",
    "output config",
    "output_format",
    "output format",
    "text.format",
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
        let nested_effort = vendor::nests_effort(host);
        Self { max_completion_tokens, nested_effort, ..Self::default() }
    }

    /// The quirks that a server's words about a rejected request reveal.
    pub fn in_words(words: &str) -> Self {
        let words = words.to_ascii_lowercase();
        let mentions = |name: &str| words.contains(name);
        let responses_api = mentions("v1/responses") || mentions("responses api");
        let efforts = if responses_api { None } else { Efforts::in_words(&words) };
        Self {
            no_stream_options: mentions("stream_options") || mentions("include_usage"),
            max_completion_tokens: mentions("max_completion_tokens"),
            nested_effort: false,
            no_output_format: OUTPUT_FORMATS.iter().any(|name| mentions(name)),
            rejected: RejectedSettings::in_words(&words),
            responses_api,
            no_images: ["image", "vision", "multimodal"].into_iter().any(mentions),
            no_cache_marks: mentions("cache_control"),
            efforts: efforts.unwrap_or_default(),
            turns: TurnQuirks::in_words(&words),
        }
    }

    /// These and the others, as far as they concern the request.
    pub fn and(self, other: Self, request: &ChatRequest<'_>) -> Self {
        let has_limit = request.settings.max_output_tokens.is_some();
        let has_schema = request.output_schema.is_some();
        Self {
            no_stream_options: self.no_stream_options || other.no_stream_options,
            max_completion_tokens: self.max_completion_tokens
                || (has_limit && other.max_completion_tokens),
            nested_effort: self.nested_effort,
            no_output_format: self.no_output_format || (has_schema && other.no_output_format),
            rejected: self.rejected.and(other.rejected, request),
            responses_api: self.responses_api || other.responses_api,
            no_images: self.no_images || (request.has_tool_images() && other.no_images),
            no_cache_marks: self.no_cache_marks || other.no_cache_marks,
            efforts: match request.settings.effort {
                Some(_) => self.efforts.and(other.efforts),
                None => self.efforts,
            },
            turns: self.turns.and(other.turns),
        }
    }
}

/// The quirks of one endpoint.
#[derive(Debug)]
pub struct LearnedQuirks {
    of_host: Quirks,
    /// The vendor, if this is its own address and the file does not name the API.
    vendor: Option<&'static Vendor>,
    of_models: Mutex<HashMap<String, Quirks>>,
}

impl LearnedQuirks {
    pub fn new(plan: &ProviderPlan) -> Self {
        let of_host = Quirks::of_host(plan.base_url.host_str().unwrap_or_default());
        let is_own = |vendor: &&Vendor| vendor.base_url == plan.address() && !plan.api_is_given;
        Self { of_host, vendor: plan.vendor.filter(is_own), of_models: Mutex::default() }
    }

    pub fn of(&self, model: &str) -> Quirks {
        let learned = self.of_models.lock().get(model).copied();
        let api = self.vendor.map(|vendor| vendor.api_of(model));
        let responses_api = api == Some(Api::OpenAiResponses);
        learned.unwrap_or(Quirks { responses_api, ..self.of_host })
    }

    /// Keeps the quirks with which the server has accepted a request.
    pub fn keep(&self, model: &str, quirks: Quirks) {
        if self.of(model) != quirks {
            self.of_models.lock().insert(model.to_owned(), quirks);
        }
    }
}
