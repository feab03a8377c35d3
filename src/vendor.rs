//! The vendors of models and their APIs: every fact about one of them that another module needs.
//!
//! A built-in provider is one entry of [`VENDORS`]. An API is one variant of [`Api`] with its entry
//! in [`Api::spec`]; its conversions are in `provider/`.

use std::fmt;

use serde::Deserialize;

/// An API of model servers, as `api` in a crew file names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Chat completions.
    #[default]
    OpenAi,
    /// Responses.
    #[serde(rename = "openai-responses")]
    OpenAiResponses,
    /// Messages.
    Anthropic,
    /// `generateContent`.
    Gemini,
}

/// The facts of one API, the same at every vendor.
#[derive(Debug)]
pub struct ApiSpec {
    /// The value of `api` in a crew file.
    pub name: &'static str,
    /// A base URL for hints: with the version if the vendor's SDK expects one.
    pub example_base_url: &'static str,
    /// The ends of call URLs, which users copy into `base_url` by mistake.
    pub call_paths: &'static [&'static str],
    pub key_header: &'static str,
    /// The text before the key in `key_header`.
    pub key_scheme: &'static str,
    /// Headers of every request, unless the file sets them.
    pub headers: &'static [(&'static str, &'static str)],
    /// Pairs of response headers: when a rate limit resets, and how much is left until then.
    pub reset_headers: &'static [(&'static str, &'static str)],
}

/// A provider that every crew file knows.
#[derive(Debug)]
pub struct Vendor {
    /// The provider's name in `provider/model`.
    pub name: &'static str,
    pub api: Api,
    pub base_url: &'static str,
    /// The environment variable that replaces `base_url`.
    pub base_url_variable: Option<&'static str>,
    /// The default port of a server that people run themselves. Its `base_url_variable` is also the
    /// server's listen address, so it may lack scheme, port and path.
    pub listen_port: Option<u16>,
    pub key_variable: Option<&'static str>,
    /// Where an account is given more credit.
    pub credit_url: Option<&'static str>,
    /// A model for a first crew, if every account has it.
    pub starter_model: Option<&'static str>,
    /// Further variables that usually hold a key for the vendor's models.
    pub other_key_variables: &'static [&'static str],
    /// Headers that carry the key where other clouds serve the vendor's models.
    pub other_key_headers: &'static [&'static str],
    /// Models still call tools when the request asks for an output format. Elsewhere many do not.
    pub formats_beside_tools: bool,
    /// The ends of hosts that take the effort as `reasoning.effort` in chat completions too, and
    /// fit it to the model themselves.
    pub nested_effort: &'static [&'static str],
    /// The ends of hosts that reject `max_tokens` in favour of `max_completion_tokens`.
    pub renamed_token_limit: &'static [&'static str],
}

/// The defaults of an entry: no variables, no exceptions.
const PLAIN: Vendor = Vendor {
    name: "",
    api: Api::OpenAi,
    base_url: "",
    base_url_variable: None,
    listen_port: None,
    key_variable: None,
    credit_url: None,
    starter_model: None,
    other_key_variables: &[],
    other_key_headers: &[],
    formats_beside_tools: false,
    nested_effort: &[],
    renamed_token_limit: &[],
};

pub static VENDORS: &[Vendor] = &[
    Vendor {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        base_url_variable: Some("OPENAI_BASE_URL"),
        key_variable: Some("OPENAI_API_KEY"),
        credit_url: Some("https://platform.openai.com/settings/organization/billing"),
        starter_model: Some("gpt-4o-mini"),
        other_key_variables: &["AZURE_OPENAI_API_KEY"],
        other_key_headers: &["api-key"],
        formats_beside_tools: true,
        renamed_token_limit: &[
            "api.openai.com",
            ".openai.azure.com",
            ".cognitiveservices.azure.com",
        ],
        ..PLAIN
    },
    Vendor {
        name: "anthropic",
        api: Api::Anthropic,
        base_url: "https://api.anthropic.com",
        base_url_variable: Some("ANTHROPIC_BASE_URL"),
        key_variable: Some("ANTHROPIC_API_KEY"),
        credit_url: Some("https://platform.claude.com/settings/billing"),
        starter_model: Some("claude-sonnet-4-5"),
        formats_beside_tools: true,
        ..PLAIN
    },
    Vendor {
        name: "gemini",
        api: Api::Gemini,
        base_url: "https://generativelanguage.googleapis.com",
        base_url_variable: Some("GOOGLE_GEMINI_BASE_URL"),
        key_variable: Some("GEMINI_API_KEY"),
        credit_url: Some("https://ai.studio/projects"),
        starter_model: Some("gemini-2.5-flash"),
        other_key_variables: &["GOOGLE_API_KEY"],
        ..PLAIN
    },
    Vendor {
        name: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        key_variable: Some("OPENROUTER_API_KEY"),
        credit_url: Some("https://openrouter.ai/settings/credits"),
        starter_model: Some("openai/gpt-4o-mini"),
        formats_beside_tools: true,
        nested_effort: &["openrouter.ai"],
        ..PLAIN
    },
    Vendor {
        name: "ollama",
        base_url: "http://127.0.0.1:11434/v1",
        base_url_variable: Some("OLLAMA_HOST"),
        listen_port: Some(11434),
        ..PLAIN
    },
];

const OPENAI_RESET_HEADERS: [(&str, &str); 3] = [
    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
    ("x-ratelimit-reset", "x-ratelimit-remaining"),
];

impl Api {
    pub const ALL: &[Self] = &[Self::OpenAi, Self::OpenAiResponses, Self::Anthropic, Self::Gemini];

    pub fn spec(self) -> &'static ApiSpec {
        match self {
            Self::OpenAi => &ApiSpec {
                name: "openai",
                example_base_url: "http://127.0.0.1:8080/v1",
                call_paths: &["/chat/completions"],
                key_header: "authorization",
                key_scheme: "Bearer ",
                headers: &[],
                reset_headers: &OPENAI_RESET_HEADERS,
            },
            Self::OpenAiResponses => &ApiSpec {
                name: "openai-responses",
                example_base_url: "http://127.0.0.1:8080/v1",
                call_paths: &["/responses"],
                key_header: "authorization",
                key_scheme: "Bearer ",
                headers: &[],
                reset_headers: &OPENAI_RESET_HEADERS,
            },
            Self::Anthropic => &ApiSpec {
                name: "anthropic",
                example_base_url: "http://127.0.0.1:8080",
                call_paths: &["/v1/messages"],
                key_header: "x-api-key",
                key_scheme: "",
                headers: &[("anthropic-version", "2023-06-01")],
                reset_headers: &[
                    (
                        "anthropic-ratelimit-requests-reset",
                        "anthropic-ratelimit-requests-remaining",
                    ),
                    ("anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining"),
                    (
                        "anthropic-ratelimit-input-tokens-reset",
                        "anthropic-ratelimit-input-tokens-remaining",
                    ),
                    (
                        "anthropic-ratelimit-output-tokens-reset",
                        "anthropic-ratelimit-output-tokens-remaining",
                    ),
                ],
            },
            Self::Gemini => &ApiSpec {
                name: "gemini",
                example_base_url: "http://127.0.0.1:8080",
                call_paths: &[":generateContent", ":streamGenerateContent"],
                // Never in the URL, which proxies log.
                key_header: "x-goog-api-key",
                key_scheme: "",
                headers: &[],
                reset_headers: &[],
            },
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl Vendor {
    /// The API of a model at the vendor's own address.
    pub fn api_of(&self, model: &str) -> Api {
        if self.name == "openai" && is_openai_reasoning(model) {
            Api::OpenAiResponses
        } else {
            self.api
        }
    }

    pub fn named(name: &str) -> Option<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.name == name)
    }
}

/// o1 and later, gpt-5 and later.
fn is_openai_reasoning(model: &str) -> bool {
    let number = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse::<u32>().ok()
    };
    let starts_at = |start: &str, least: u32| {
        model.strip_prefix(start).and_then(number).is_some_and(|version| version >= least)
    };
    starts_at("o", 1) || starts_at("gpt-", 5)
}

/// The beginnings of API keys, to recognize one where a name is expected.
pub const KEY_PREFIXES: [&str; 7] = ["sk-", "sk_", "AIza", "ghp_", "gsk_", "xai-", "hf_"];

/// The environment variables that usually hold API keys. No tool gets one, whether a run uses the
/// vendor or not.
pub fn key_variables() -> Vec<&'static str> {
    let of = |vendor: &Vendor| {
        vendor.key_variable.into_iter().chain(vendor.other_key_variables.iter().copied())
    };
    VENDORS.iter().flat_map(of).collect()
}

/// The request headers that carry API keys.
pub fn key_headers() -> impl Iterator<Item = &'static str> {
    let apis = Api::ALL.iter().map(|api| api.spec().key_header);
    apis.chain(VENDORS.iter().flat_map(|vendor| vendor.other_key_headers.iter().copied()))
}

/// The ends of call URLs of all APIs.
pub fn call_paths() -> impl Iterator<Item = &'static str> {
    Api::ALL.iter().flat_map(|api| api.spec().call_paths.iter().copied())
}

/// What crew sets in the requests of any API, and the setting of the crew file that decides it.
const OWN_KEYS: &[(&[&str], Option<&str>)] = &[
    (&["model"], Some("model")),
    (&["messages"], Some("prompt")),
    (&["input"], Some("prompt")),
    (&["contents"], Some("prompt")),
    (&["instructions"], Some("instructions")),
    (&["system"], Some("instructions")),
    (&["systemInstruction"], Some("instructions")),
    (&["system_instruction"], Some("instructions")),
    (&["tools"], Some("tools")),
    (&["stream"], None),
    (&["stream_options"], None),
    (&["store"], None),
    (&["include"], None),
    (&["n"], None),
    (&["response_format"], Some("output_schema")),
    (&["text", "format"], Some("output_schema")),
    (&["output_config", "format"], Some("output_schema")),
    (&["temperature"], Some("temperature")),
    (&["top_p"], Some("top_p")),
    (&["seed"], Some("seed")),
    (&["stop"], Some("stop")),
    (&["stop_sequences"], Some("stop")),
    (&["max_tokens"], Some("max_output_tokens")),
    (&["max_completion_tokens"], Some("max_output_tokens")),
    (&["max_output_tokens"], Some("max_output_tokens")),
    (&["reasoning_effort"], Some("effort")),
    (&["reasoning", "effort"], Some("effort")),
    (&["output_config", "effort"], Some("effort")),
    (&["thinking"], Some("effort")),
    (&["cache_control"], Some("cache")),
    (&["generationConfig", "candidateCount"], None),
    (&["generationConfig", "temperature"], Some("temperature")),
    (&["generationConfig", "topP"], Some("top_p")),
    (&["generationConfig", "seed"], Some("seed")),
    (&["generationConfig", "stopSequences"], Some("stop")),
    (&["generationConfig", "maxOutputTokens"], Some("max_output_tokens")),
    (&["generationConfig", "thinkingConfig"], Some("effort")),
    (&["generationConfig", "responseMimeType"], Some("output_schema")),
    (&["generationConfig", "responseSchema"], Some("output_schema")),
    (&["generationConfig", "responseJsonSchema"], Some("output_schema")),
    (&["generation_config"], None),
];

/// If crew sets this path in requests itself: the setting of the crew file that decides its value,
/// if there is one.
pub fn setting_of(path: &[&str]) -> Option<Option<&'static str>> {
    OWN_KEYS.iter().find(|(own, _)| *own == path).map(|(_, setting)| *setting)
}

/// The headers of all APIs about rate limits: gateways send those of the API behind them.
pub fn reset_headers() -> impl Iterator<Item = (&'static str, &'static str)> {
    Api::ALL.iter().flat_map(|api| api.spec().reset_headers.iter().copied())
}

/// Whether the server at `host` takes the limit of output tokens as `max_completion_tokens` only.
pub fn renames_token_limit(host: &str) -> bool {
    VENDORS.iter().flat_map(|vendor| vendor.renamed_token_limit).any(|end| host.ends_with(end))
}

/// Whether the server at `host` takes the effort of chat completions as `reasoning.effort`.
pub fn nests_effort(host: &str) -> bool {
    VENDORS.iter().flat_map(|vendor| vendor.nested_effort).any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use reqwest::Url;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn every_api_has_the_name_that_a_file_gives_it_and_headers_that_http_allows() {
        for &api in Api::ALL {
            let spec = api.spec();
            let named = serde_json::from_value::<Api>(spec.name.into()).ok();
            assert_eq!(named, Some(api), "{}", spec.name);
            // `from_static` panics at any other name or value.
            HeaderName::from_static(spec.key_header);
            for (name, value) in spec.headers {
                let _ = (HeaderName::from_static(name), HeaderValue::from_static(value));
            }
        }
        // serde lists all variants, each in backquotes, after the unknown one.
        let unknown = serde_json::from_value::<Api>("".into()).map_err(|error| error.to_string());
        let listed = unknown.unwrap_err().matches('`').count() / 2 - 1;
        assert_eq!(listed, Api::ALL.len());
    }

    #[test]
    fn reasoning_models_of_openai_are_served_by_the_responses_api() {
        let api = |model| Vendor::named("openai").map(|vendor| vendor.api_of(model));
        for model in ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.2-pro", "gpt-10"] {
            assert_eq!(api(model), Some(Api::OpenAiResponses), "{model}");
        }
        for model in ["gpt-4o", "gpt-4.1-mini", "gpt-oss-120b", "omni", "chatgpt-4o-latest"] {
            assert_eq!(api(model), Some(Api::OpenAi), "{model}");
        }
    }

    #[test]
    fn every_vendor_has_a_base_url_and_a_name_of_its_own() {
        for vendor in VENDORS {
            assert!(Url::parse(vendor.base_url).is_ok(), "{}", vendor.name);
            assert!(std::ptr::eq(Vendor::named(vendor.name).unwrap_or(&PLAIN), vendor));
        }
    }
}
