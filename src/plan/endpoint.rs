//! Models and the endpoints that serve them: built in, or declared in the file.

use reqwest::Url;
use secrecy::SecretString;

use super::check::{self, Origin};
use super::declared::{self, Declared};
use super::provider::{Api, ProviderPlan, RateLimits};
use super::rate;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, ProviderConfig};
use crate::config::place::Path;
use crate::text::quoted;

/// Variables that hold the keys of well-known providers, whether a run uses them or not: none of
/// them is a tool's business.
pub const KEY_VARIABLES: [&str; 6] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENROUTER_API_KEY",
    "AZURE_OPENAI_API_KEY",
];

/// A provider that every file knows.
struct BuiltIn {
    name: &'static str,
    api: Api,
    /// Without the variable.
    address: &'static str,
    /// The variable that may hold another address.
    address_variable: Option<&'static str>,
    key_variable: Option<&'static str>,
}

const BUILT_IN: [BuiltIn; 5] = [
    BuiltIn {
        name: "openai",
        api: Api::OpenAi,
        address: "https://api.openai.com/v1",
        address_variable: Some("OPENAI_BASE_URL"),
        key_variable: Some("OPENAI_API_KEY"),
    },
    BuiltIn {
        name: "anthropic",
        api: Api::Anthropic,
        address: "https://api.anthropic.com",
        address_variable: Some("ANTHROPIC_BASE_URL"),
        key_variable: Some("ANTHROPIC_API_KEY"),
    },
    BuiltIn {
        name: "gemini",
        api: Api::Gemini,
        address: "https://generativelanguage.googleapis.com",
        address_variable: Some("GOOGLE_GEMINI_BASE_URL"),
        key_variable: Some("GEMINI_API_KEY"),
    },
    BuiltIn {
        name: "openrouter",
        api: Api::OpenAi,
        address: "https://openrouter.ai/api/v1",
        address_variable: None,
        key_variable: Some("OPENROUTER_API_KEY"),
    },
    BuiltIn {
        name: OLLAMA,
        api: Api::OpenAi,
        address: "127.0.0.1",
        address_variable: Some("OLLAMA_HOST"),
        key_variable: None,
    },
];

const OLLAMA: &str = "ollama";

/// A model as written, known to name an endpoint there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    Offline,
    Remote { provider: String, model: String },
}

#[derive(Debug, Default)]
pub struct Endpoints {
    declared: Vec<Declared>,
    /// What the file says of built-in ones.
    limits: Vec<(String, RateLimits)>,
}

impl Endpoints {
    pub fn check(providers: Option<&Entries<ProviderConfig>>, log: &FaultLog) -> Self {
        let root = Path::Root.key("providers");
        let entries = providers.map(|entries| entries.0.as_slice()).unwrap_or_default();
        let mut endpoints = Self::default();
        for (name, provider) in entries {
            let path = root.key(name);
            if BUILT_IN.iter().any(|built_in| built_in.name == name) {
                let limits = rate::of_built_in(name, provider, &path, log);
                endpoints.limits.push((name.clone(), limits));
            } else {
                endpoints.declared.push(declare(name, provider, &path, log));
            }
        }
        endpoints
    }

    pub fn model(&self, text: &str, origin: &Origin<'_>, log: &FaultLog) -> Option<ModelName> {
        if text == "offline" {
            return Some(ModelName::Offline);
        }
        let usable = |part: &str| {
            let unusable = |c: char| c == ',' || c.is_whitespace() || c.is_control();
            !part.is_empty() && !part.chars().any(unusable)
        };
        let Some((provider, model)) =
            text.split_once('/').filter(|(provider, model)| usable(provider) && usable(model))
        else {
            let hint = if text.contains(',') {
                "several are a list, in the file only: model: [openai/gpt-4o-mini, offline]"
            } else {
                "write provider/model, such as openai/gpt-4o-mini, or offline"
            };
            let message = format!("{} does not name a model", quoted(text));
            origin.fault(log, message, Some(hint.to_owned()));
            return None;
        };
        let built_in = || BUILT_IN.iter().map(|provider| provider.name);
        let names =
            || self.declared.iter().map(|provider| provider.name.as_str()).chain(built_in());
        if !names().any(|name| name == provider) {
            let hint = log.nearest(provider, names()).unwrap_or_else(|| {
                let known: Vec<&str> = names().take(10).collect();
                format!("known: {}; others go under providers:", known.join(", "))
            });
            let message = format!("there is no provider {}", quoted(provider));
            origin.fault(log, message, Some(hint));
            return None;
        }
        Some(ModelName::Remote { provider: provider.to_owned(), model: model.to_owned() })
    }

    /// The endpoint with its address and key, for an agent that is going to use it.
    pub fn resolve(
        &self,
        name: &str,
        origin: &Origin<'_>,
        env: Env<'_>,
        log: &FaultLog,
    ) -> Option<ProviderPlan> {
        if let Some(declared) = self.declared.iter().find(|declared| declared.name == name) {
            let api_key = match &declared.api_key_env {
                Some(variable) => Some(key(variable, name, origin, env, log)?),
                None => None,
            };
            return Some(declared.plan(api_key));
        }
        let built_in = BUILT_IN.iter().find(|built_in| built_in.name == name)?;
        let set = |variable| env(variable).filter(|value| !value.trim().is_empty());
        let given = built_in.address_variable.and_then(set);
        let mut address = given.unwrap_or_else(|| built_in.address.to_owned());
        if name == OLLAMA {
            address = ollama(&address);
        }
        let base_url = declared::base_url(&address)
            .map_err(|why| {
                let variable = built_in.address_variable.unwrap_or_default();
                log.unplaced(format!("the environment variable {variable}: {why}"), None)
            })
            .ok();
        // The key is looked at in any case: both may be wrong.
        let api_key = match built_in.key_variable {
            Some(variable) => Some(key(variable, name, origin, env, log)?),
            None => None,
        };
        let limits = self.limits.iter().find(|(known, _)| known == name);
        Some(ProviderPlan {
            name: name.to_owned(),
            api: built_in.api,
            base_url: base_url?,
            query: Vec::new(),
            api_key,
            key_variable: built_in.key_variable.map(str::to_owned),
            headers: Vec::new(),
            limits: limits.map(|(_, limits)| *limits).unwrap_or_default(),
        })
    }
}

fn declare(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Declared {
    check::name(name, "a provider", path, log);
    if BUILT_IN.iter().any(|built_in| built_in.name == name) || name == "offline" {
        let message = format!("{name} is built in and cannot be declared again");
        log.key(path, message, Some("give it another name".to_owned()));
    }
    Declared::new(name, config, path, log)
}

fn key(
    variable: &str,
    provider: &str,
    origin: &Origin<'_>,
    env: Env<'_>,
    log: &FaultLog,
) -> Option<SecretString> {
    let value = env(variable).unwrap_or_default().trim().to_owned();
    if value.is_empty() {
        let message =
            format!("{provider} needs an API key: the environment variable {variable} is not set");
        let hint = format!("set {variable}, or try the crew with --offline");
        origin.fault(log, message, Some(hint));
        return None;
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        let message =
            format!("the API key in {variable} has characters that no HTTP header can carry");
        origin.fault(log, message, Some("check how the variable is set".to_owned()));
        return None;
    }
    Some(value.into())
}

/// What people write into `OLLAMA_HOST`: it also tells the server where to listen.
fn ollama(host: &str) -> String {
    let host = host.trim().trim_end_matches('/');
    let address = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    let Ok(mut url) = Url::parse(&address) else { return address };
    if !host.contains("://") && !host.ends_with(":80") && url.port().is_none() {
        // Only an address without a host has no port to set; it is refused later.
        let _ = url.set_port(Some(11434));
    }
    match url.host_str() {
        Some("0.0.0.0") => drop(url.set_host(Some("127.0.0.1"))),
        Some("[::]") => drop(url.set_host(Some("[::1]"))),
        _ => {}
    }
    let address = url.as_str().trim_end_matches('/');
    if address.ends_with("/v1") { address.to_owned() } else { format!("{address}/v1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ollama_host_may_hold() {
        for (host, address) in [
            ("127.0.0.1", "http://127.0.0.1:11434/v1"),
            ("127.0.0.1:11434", "http://127.0.0.1:11434/v1"),
            ("gpu-box", "http://gpu-box:11434/v1"),
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
            ("[::]:8000", "http://[::1]:8000/v1"),
            ("http://host:9/", "http://host:9/v1"),
            ("https://ollama.example.com", "https://ollama.example.com/v1"),
            ("http://host:9/v1", "http://host:9/v1"),
            ("host:80", "http://host/v1"),
        ] {
            assert_eq!(declared::base_url(&ollama(host)).as_deref(), Ok(address), "{host}");
        }
    }
}
