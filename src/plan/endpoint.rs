//! Models and the endpoints that serve them: built in, or declared in the file.

use std::collections::HashSet;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::check::{self, Origin};
use super::{ProviderPlan, RateLimits, rate};
use crate::config::expand::{Env, is_variable_name};
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, ProviderConfig};
use crate::config::place::Path;

/// Variables that hold the keys of well-known providers, whether this version speaks to them or
/// not: none of them is a tool's business.
pub const KEY_VARIABLES: [&str; 5] = [
    "OPENAI_API_KEY",
    "ANTHROPIC_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
    "OPENROUTER_API_KEY",
];

const BUILT_IN: [&str; 3] = ["openai", "openrouter", "ollama"];
/// Known by name, but they speak a protocol of their own.
const NOT_SPOKEN: [&str; 2] = ["anthropic", "gemini"];

/// A model as written, known to name an endpoint there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    Offline,
    Remote { provider: String, model: String },
}

/// An endpoint of the file; its key has not been looked up.
#[derive(Debug, Default)]
struct Declared {
    name: String,
    base_url: String,
    api_key_env: Option<String>,
    headers: Vec<(String, SecretString)>,
    limits: RateLimits,
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
            if BUILT_IN.contains(&name.as_str()) {
                let limits = rate::of_built_in(name, provider, &path, log);
                endpoints.limits.push((name.clone(), limits));
            } else {
                endpoints.declared.push(declared(name, provider, &path, log));
            }
        }
        endpoints
    }

    /// Every variable that holds an API key.
    pub fn key_variables(&self) -> HashSet<String> {
        let declared = self.declared.iter().filter_map(|provider| provider.api_key_env.clone());
        KEY_VARIABLES.into_iter().map(str::to_owned).chain(declared).collect()
    }

    pub fn model(&self, text: &str, origin: &Origin<'_>, log: &FaultLog) -> Option<ModelName> {
        if text == "offline" {
            return Some(ModelName::Offline);
        }
        let usable = |part: &str| {
            !part.is_empty() && !part.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        let Some((provider, model)) =
            text.split_once('/').filter(|(provider, model)| usable(provider) && usable(model))
        else {
            let hint = "write provider/model, such as openai/gpt-4o-mini, or offline".to_owned();
            let message = format!("{} does not name a model", check::shown(text));
            origin.fault(log, message, Some(hint));
            return None;
        };
        if NOT_SPOKEN.contains(&provider) {
            let message = format!(
                "{provider} is not supported: this version speaks the OpenAI protocol only"
            );
            let hint = "use openai, openrouter, ollama, or a provider of the file".to_owned();
            origin.fault(log, message, Some(hint));
            return None;
        }
        let names = || self.declared.iter().map(|provider| provider.name.as_str()).chain(BUILT_IN);
        if !names().any(|name| name == provider) {
            let hint = log.nearest(provider, names()).unwrap_or_else(|| {
                let known: Vec<&str> = names().take(10).collect();
                format!("known: {}; others go under providers:", known.join(", "))
            });
            let message = format!("there is no provider {}", check::shown(provider));
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
        let set = |variable: &str| env(variable).filter(|value| !value.trim().is_empty());
        if let Some(declared) = self.declared.iter().find(|declared| declared.name == name) {
            let api_key = match &declared.api_key_env {
                Some(variable) => Some(key(variable, name, origin, env, log)?),
                None => None,
            };
            return Some(ProviderPlan {
                name: name.to_owned(),
                base_url: declared.base_url.clone(),
                api_key,
                headers: declared.headers.clone(),
                limits: declared.limits,
            });
        }
        let (address, variable, key_variable) = match name {
            "openai" => (
                set("OPENAI_BASE_URL").unwrap_or_else(|| "https://api.openai.com/v1".to_owned()),
                "OPENAI_BASE_URL",
                Some("OPENAI_API_KEY"),
            ),
            "openrouter" => {
                ("https://openrouter.ai/api/v1".to_owned(), "", Some("OPENROUTER_API_KEY"))
            }
            _ => {
                let host = set("OLLAMA_HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
                (ollama(&host), "OLLAMA_HOST", None)
            }
        };
        let base_url = base_url(&address)
            .map_err(|why| {
                log.unplaced(format!("the environment variable {variable}: {why}"), None)
            })
            .ok();
        // The key is looked at in any case: both may be wrong.
        let api_key = match key_variable {
            Some(variable) => Some(key(variable, name, origin, env, log)?),
            None => None,
        };
        let limits = self.limits.iter().find(|(known, _)| known == name);
        let limits = limits.map(|(_, limits)| *limits).unwrap_or_default();
        let (name, headers) = (name.to_owned(), Vec::new());
        Some(ProviderPlan { name, base_url: base_url?, api_key, headers, limits })
    }
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

fn declared(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Declared {
    check::name(name, "a provider", path, log);
    if NOT_SPOKEN.contains(&name) || name == "offline" {
        let message = format!("{name} is built in and cannot be declared again");
        log.key(path, message, Some("give it another name".to_owned()));
    }
    let base_url = match &config.base_url {
        None => {
            let hint = "such as base_url: http://127.0.0.1:8080/v1".to_owned();
            log.key(path, format!("provider {name:?} has no base_url"), Some(hint));
            String::new()
        }
        Some(text) => base_url(text).unwrap_or_else(|why| {
            log.hide(&path.key("base_url"));
            log.value(&path.key("base_url"), why, None);
            String::new()
        }),
    };
    Declared {
        name: name.to_owned(),
        base_url,
        api_key_env: config
            .api_key_env
            .clone()
            .filter(|variable| key_variable(variable, &path.key("api_key_env"), log)),
        headers: headers(config.headers.as_ref(), &path.key("headers"), log),
        limits: rate::limits(config, path, log),
    }
}

/// What is not the name of a variable may be the key itself, so it is neither repeated nor shown.
fn key_variable(text: &str, path: &Path<'_>, log: &FaultLog) -> bool {
    let like_a_key = text.len() > 64
        || ["sk-", "sk_", "AIza", "ghp_", "gsk_", "xai-", "hf_"]
            .iter()
            .any(|start| text.starts_with(start));
    if is_variable_name(text) && !like_a_key {
        return true;
    }
    log.hide(path);
    let message = if like_a_key {
        "this looks like an API key: the file takes the name of an environment variable"
    } else {
        "this is not the name of an environment variable"
    };
    let hint = "put the key into a variable and write its name, such as LOCAL_KEY".to_owned();
    log.value(path, message, Some(hint));
    false
}

fn headers(
    headers: Option<&Entries<String>>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Vec<(String, SecretString)> {
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for (name, value) in headers.map(|headers| headers.0.as_slice()).unwrap_or_default() {
        let path = path.key(name);
        log.hide(&path);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            log.key(&path, format!("{} is not a header's name", check::shown(name)), None);
            continue;
        };
        let lower = header.as_str().to_owned();
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&lower.as_str()) {
            log.key(&path, format!("the header {lower} is crew's own to set"), None);
        }
        if !seen.insert(lower) {
            log.key(&path, "this header is given twice", None);
        }
        if HeaderValue::from_str(value).is_err() {
            log.value(&path, "the value has characters that no HTTP header can carry", None);
        }
        checked.push((name.clone(), value.as_str().into()));
    }
    checked
}

fn base_url(text: &str) -> Result<String, String> {
    let expected = "expected an address such as http://127.0.0.1:8080/v1";
    let url = Url::parse(text.trim()).map_err(|error| format!("{expected}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{expected}: only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{expected}: a password belongs into headers, from a variable"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{expected}, without ? or #"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
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
            assert_eq!(base_url(&ollama(host)).as_deref(), Ok(address), "{host}");
        }
    }

    #[test]
    fn base_urls() {
        assert_eq!(base_url("http://h:1/v1///").as_deref(), Ok("http://h:1/v1"));
        for text in ["", "h", "ftp://h", "http://", "http://u:p@h", "http://h/?a=b", "/v1"] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
