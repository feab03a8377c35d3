//! Models and the endpoints that serve them: built in, or declared in the file.

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};

use super::check::{self, Origin};
use super::declared::{self, Declared};
use super::provider::{self, ProviderPlan};
use super::rate::BuiltIn;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::ProviderConfig;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::text::quoted;
use crate::vendor::{Api, VENDORS, Vendor};

/// Bytes of a model's name that a hint repeats.
const MAX_NAME: usize = 64;

/// A model as written, whose provider is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelName {
    Offline,
    Remote { provider: String, model: String },
}

#[derive(Debug, Default)]
pub struct Endpoints {
    declared: Vec<Declared>,
    /// What the file says of built-in ones.
    built_in: Vec<(String, BuiltIn)>,
}

impl Endpoints {
    pub fn check(providers: Option<&Entries<ProviderConfig>>, log: &FaultLog) -> Self {
        let root = Path::Root.key("providers");
        let mut endpoints = Self::default();
        for (name, provider) in Entries::of(providers) {
            let path = root.key(name);
            if Vendor::named(name).is_some() {
                endpoints.built_in.push((name.clone(), BuiltIn::new(name, provider, &path, log)));
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
                "write several as a list, in the file only: model: [openai/gpt-4o-mini, offline]"
                    .to_owned()
            } else if usable(text) && !text.contains('/') && text.len() < MAX_NAME {
                format!("write provider/model, such as {}/{text}", vendor_of(text))
            } else {
                "write provider/model, such as openai/gpt-4o-mini, or offline".to_owned()
            };
            let message = format!("{} does not name a model", quoted(text));
            origin.fault(log, message, Some(hint));
            return None;
        };
        let built_in = || VENDORS.iter().map(|vendor| vendor.name);
        let names =
            || self.declared.iter().map(|provider| provider.name.as_str()).chain(built_in());
        if !names().any(|name| name == provider) {
            let hint = log.nearest(provider, names()).unwrap_or_else(|| {
                let known: Vec<&str> = names().take(10).collect();
                format!("known: {}; declare others under providers:", known.join(", "))
            });
            let message = format!("there is no provider {}", quoted(provider));
            origin.fault(log, message, Some(hint));
            return None;
        }
        Some(ModelName::Remote { provider: provider.to_owned(), model: model.to_owned() })
    }

    /// The provider with its URL and key, for an agent that uses it. `None` if there is a fault,
    /// which is logged.
    pub fn resolve(
        &self,
        name: &str,
        origin: &Origin<'_>,
        env: Env<'_>,
        log: &FaultLog,
    ) -> Option<ProviderPlan> {
        let keys = KeyLookup { provider: name, origin, env, log };
        if let Some(declared) = self.declared.iter().find(|declared| declared.name == name) {
            let key = match &declared.key_variable {
                Some(variable) => Some(keys.header(declared.api, variable)?),
                None => None,
            };
            return declared.plan(key);
        }
        let vendor = Vendor::named(name)?;
        let base_url = base_url(vendor, env)
            .map_err(|why| {
                let variable = vendor.base_url_variable.unwrap_or_default();
                log.unplaced(format!("the environment variable {variable}: {why}"), None)
            })
            .ok();
        let own = self.built_in.iter().find(|(known, _)| known == name);
        let own = own.map(|(_, own)| own.clone()).unwrap_or_default();
        // Checked in any case, since both may be wrong.
        let key_variable = vendor.key_variable.filter(|_| own.key_command.is_none());
        let key = match key_variable {
            Some(variable) => Some(keys.header(vendor.api, variable)?),
            None => None,
        };
        let api = own.api.unwrap_or(vendor.api);
        Some(ProviderPlan {
            name: name.to_owned(),
            vendor: Some(vendor),
            api,
            api_is_given: own.api.is_some(),
            base_url: base_url?,
            headers: provider::headers(api, key, &HeaderMap::new()),
            key_variable: key_variable.map(str::to_owned),
            key_command: own.key_command,
            limits: own.limits,
        })
    }
}

/// The base URL of a built-in provider: from its variable, or the vendor's own.
///
/// # Errors
/// The variable holds no usable URL.
pub fn base_url(vendor: &Vendor, env: Env<'_>) -> Result<Url, String> {
    let set = |variable| env(variable).filter(|value| !value.trim().is_empty());
    let given = vendor.base_url_variable.and_then(set);
    declared::base_url(&match (given, vendor.listen_port) {
        (None, _) => vendor.base_url.to_owned(),
        (Some(given), None) => given,
        (Some(given), Some(port)) => of_listen_address(&given, port),
    })
}

/// The likely vendor of a model without a provider.
fn vendor_of(model: &str) -> &'static str {
    let starts_with = |start: &str| model.starts_with(start);
    match model {
        _ if starts_with("claude") => "anthropic",
        _ if starts_with("gemini") => "gemini",
        _ if model.contains(':') => "ollama",
        _ => "openai",
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

struct KeyLookup<'a> {
    provider: &'a str,
    origin: &'a Origin<'a>,
    env: Env<'a>,
    log: &'a FaultLog,
}

impl KeyLookup<'_> {
    /// The value of the API's key header, with the key in the variable.
    fn header(&self, api: Api, variable: &str) -> Option<HeaderValue> {
        // A key from a file or a clipboard often ends with a line end.
        let key = (self.env)(variable).unwrap_or_default().trim().to_owned();
        if key.is_empty() {
            let message = format!(
                "{} needs an API key: the environment variable {variable} is not set",
                self.provider
            );
            let hint = format!("set {variable}, or try the crew with --offline");
            self.origin.fault(self.log, message, Some(hint));
            return None;
        }
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        let value = HeaderValue::from_str(&format!("{}{key}", api.spec().key_scheme));
        let Some(mut value) = value.ok().filter(|_| is_plain) else {
            let message =
                format!("the API key in {variable} has characters that no HTTP header can carry");
            self.origin.fault(self.log, message, Some("check how the variable is set".to_owned()));
            return None;
        };
        value.set_sensitive(true);
        Some(value)
    }
}

/// The base URL of a server that listens at this address.
fn of_listen_address(host: &str, default_port: u16) -> String {
    let host = host.trim().trim_end_matches('/');
    let address = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    let Ok(mut url) = Url::parse(&address) else { return address };
    if !host.contains("://") && !host.ends_with(":80") && url.port().is_none() {
        // Fails only without a host, which is rejected later.
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
    fn every_form_of_ollama_host() {
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
