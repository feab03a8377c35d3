//! Models and the endpoints that serve them: built in, or declared in the file.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

use super::check::{self, Origin};
use super::declared::{self, Declared};
use super::provider::{self, ProviderPlan, RateLimits};
use super::rate;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, ProviderConfig};
use crate::config::place::Path;
use crate::text::quoted;
use crate::vendor::{Api, VENDORS, Vendor};

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
            if Vendor::named(name).is_some() {
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
        let built_in = || VENDORS.iter().map(|vendor| vendor.name);
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
            let key = match &declared.key_variable {
                Some(variable) => Some(key(declared.api, variable, name, origin, env, log)?),
                None => None,
            };
            return declared.plan(key);
        }
        let vendor = Vendor::named(name)?;
        let set = |variable| env(variable).filter(|value| !value.trim().is_empty());
        let given = vendor.base_url_variable.and_then(set);
        let address = match (given, vendor.listen_port) {
            (None, _) => vendor.base_url.to_owned(),
            (Some(given), None) => given,
            (Some(given), Some(port)) => of_listen_address(&given, port),
        };
        let base_url = declared::base_url(&address)
            .map_err(|why| {
                let variable = vendor.base_url_variable.unwrap_or_default();
                log.unplaced(format!("the environment variable {variable}: {why}"), None)
            })
            .ok();
        // The key is looked at in any case: both may be wrong.
        let key = match vendor.key_variable {
            Some(variable) => Some(key(vendor.api, variable, name, origin, env, log)?),
            None => None,
        };
        let limits = self.limits.iter().find(|(known, _)| known == name);
        Some(ProviderPlan {
            name: name.to_owned(),
            vendor: Some(vendor),
            api: vendor.api,
            base_url: base_url?,
            headers: provider::headers(vendor.api, key, &HeaderMap::new()),
            key_variable: vendor.key_variable.map(str::to_owned),
            limits: limits.map(|(_, limits)| *limits).unwrap_or_default(),
        })
    }
}

fn declare(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Declared {
    check::name(name, "a provider", path, log);
    if name == "offline" {
        let message = format!("{name} is built in and cannot be declared again");
        log.key(path, message, Some("give it another name".to_owned()));
    }
    Declared::new(name, config, path, log)
}

/// The value of the header with the key that the variable holds.
fn key(
    api: Api,
    variable: &str,
    provider: &str,
    origin: &Origin<'_>,
    env: Env<'_>,
    log: &FaultLog,
) -> Option<HeaderValue> {
    // A key from a file or a clipboard often ends with a line end.
    let key = env(variable).unwrap_or_default().trim().to_owned();
    if key.is_empty() {
        let message =
            format!("{provider} needs an API key: the environment variable {variable} is not set");
        let hint = format!("set {variable}, or try the crew with --offline");
        origin.fault(log, message, Some(hint));
        return None;
    }
    let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let value = HeaderValue::from_str(&format!("{}{key}", api.spec().key_scheme));
    let Some(mut value) = value.ok().filter(|_| is_plain) else {
        let message =
            format!("the API key in {variable} has characters that no HTTP header can carry");
        origin.fault(log, message, Some("check how the variable is set".to_owned()));
        return None;
    };
    value.set_sensitive(true);
    Some(value)
}

/// The base URL of a server that listens at this address.
fn of_listen_address(host: &str, default_port: u16) -> String {
    let host = host.trim().trim_end_matches('/');
    let address = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    let Ok(mut url) = Url::parse(&address) else { return address };
    if !host.contains("://") && !host.ends_with(":80") && url.port().is_none() {
        // Only an address without a host has no port to set; it is refused later.
        let _ = url.set_port(Some(default_port));
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
            let found = declared::base_url(&of_listen_address(host, 11434)).map(String::from);
            assert_eq!(found.as_deref(), Ok(address), "{host}");
        }
    }
}
