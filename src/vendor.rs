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
    /// Further variables that usually hold a key for the vendor's models.
    pub other_key_variables: &'static [&'static str],
    /// Headers that carry the key where other clouds serve the vendor's models.
    pub other_key_headers: &'static [&'static str],
    /// Models still call tools when the request asks for an output format. Elsewhere many do not.
    pub formats_beside_tools: bool,
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
    other_key_variables: &[],
    other_key_headers: &[],
    formats_beside_tools: false,
    renamed_token_limit: &[],
};

pub static VENDORS: &[Vendor] = &[
    Vendor {
        name: "openai",
        base_url: "https://api.openai.com/v1",
        base_url_variable: Some("OPENAI_BASE_URL"),
        key_variable: Some("OPENAI_API_KEY"),
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
        formats_beside_tools: true,
        ..PLAIN
    },
    Vendor {
        name: "gemini",
        api: Api::Gemini,
        base_url: "https://generativelanguage.googleapis.com",
        base_url_variable: Some("GOOGLE_GEMINI_BASE_URL"),
        key_variable: Some("GEMINI_API_KEY"),
        other_key_variables: &["GOOGLE_API_KEY"],
        ..PLAIN
    },
    Vendor {
        name: "openrouter",
        base_url: "https://openrouter.ai/api/v1",
        key_variable: Some("OPENROUTER_API_KEY"),
        formats_beside_tools: true,
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

impl Api {
    pub const ALL: &[Self] = &[Self::OpenAi, Self::Anthropic, Self::Gemini];

    pub fn spec(self) -> &'static ApiSpec {
        match self {
            Self::OpenAi => &ApiSpec {
                name: "openai",
                example_base_url: "http://127.0.0.1:8080/v1",
                call_paths: &["/chat/completions"],
                key_header: "authorization",
                key_scheme: "Bearer ",
                headers: &[],
                reset_headers: &[
                    ("x-ratelimit-reset-requests", "x-ratelimit-remaining-requests"),
                    ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
                    ("x-ratelimit-reset", "x-ratelimit-remaining"),
                ],
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
    pub fn named(name: &str) -> Option<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.name == name)
    }
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

/// The headers of all APIs about rate limits: gateways send those of the API behind them.
pub fn reset_headers() -> impl Iterator<Item = (&'static str, &'static str)> {
    Api::ALL.iter().flat_map(|api| api.spec().reset_headers.iter().copied())
}

/// Whether the server at `host` takes the limit of output tokens as `max_completion_tokens` only.
pub fn renames_token_limit(host: &str) -> bool {
    VENDORS.iter().flat_map(|vendor| vendor.renamed_token_limit).any(|end| host.ends_with(end))
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
    fn every_vendor_has_a_base_url_and_a_name_of_its_own() {
        for vendor in VENDORS {
            assert!(Url::parse(vendor.base_url).is_ok(), "{}", vendor.name);
            assert!(std::ptr::eq(Vendor::named(vendor.name).unwrap_or(&PLAIN), vendor));
        }
    }
}
