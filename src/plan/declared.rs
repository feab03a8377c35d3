//! The endpoints that a file declares.

use std::collections::HashSet;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::provider::{ProviderPlan, RateLimits};
use super::rate;
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::{Entries, ProviderConfig};
use crate::config::place::Path;
use crate::text::quoted;
use crate::vendor::{self, Api};

/// An endpoint of the file; its key has not been looked up.
#[derive(Debug, Default)]
pub struct Declared {
    pub name: String,
    api: Api,
    base_url: String,
    query: Vec<(String, SecretString)>,
    pub api_key_env: Option<String>,
    headers: Vec<(String, SecretString)>,
    limits: RateLimits,
}

impl Declared {
    pub fn new(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Self {
        let api = config.api.unwrap_or_default();
        let base_url = match &config.base_url {
            None => {
                let hint = format!("such as base_url: {}", api.spec().example_base_url);
                log.key(path, format!("provider {name:?} has no base_url"), Some(hint));
                String::new()
            }
            Some(text) => base_url(text).unwrap_or_else(|why| {
                log.hide(&path.key("base_url"));
                log.value(&path.key("base_url"), why, None);
                String::new()
            }),
        };
        Self {
            name: name.to_owned(),
            api,
            base_url,
            query: query(config.query.as_ref(), &path.key("query"), log),
            api_key_env: config
                .api_key_env
                .clone()
                .filter(|variable| key_variable(variable, &path.key("api_key_env"), log)),
            headers: headers(config.headers.as_ref(), &path.key("headers"), log),
            limits: rate::limits(config, path, log),
        }
    }

    pub fn plan(&self, api_key: Option<SecretString>) -> ProviderPlan {
        ProviderPlan {
            name: self.name.clone(),
            vendor: None,
            api: self.api,
            base_url: self.base_url.clone(),
            query: self.query.clone(),
            api_key,
            key_variable: self.api_key_env.clone(),
            headers: self.headers.clone(),
            limits: self.limits,
        }
    }
}

/// Parameters of the address. Like headers they may carry a secret, so they are not shown.
fn query(
    query: Option<&Entries<String>>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Vec<(String, SecretString)> {
    let mut checked = Vec::new();
    for (name, value) in query.map(|query| query.0.as_slice()).unwrap_or_default() {
        let path = path.key(name);
        log.hide(&path);
        if name.is_empty() {
            log.key(&path, "a parameter needs a name", None);
        }
        checked.push((name.clone(), value.as_str().into()));
    }
    checked
}

/// What is not the name of a variable may be the key itself, so it is neither repeated nor shown.
fn key_variable(text: &str, path: &Path<'_>, log: &FaultLog) -> bool {
    let like_a_key =
        text.len() > 64 || vendor::KEY_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
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

/// Headers of the file, their values hidden from whatever shows it.
pub fn headers(
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
            log.key(&path, format!("{} is not a header's name", quoted(name)), None);
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

pub fn base_url(text: &str) -> Result<String, String> {
    let expected = "expected an address such as http://127.0.0.1:8080/v1";
    let url = Url::parse(text.trim()).map_err(|error| format!("{expected}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{expected}: only http and https are spoken"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{expected}: a password belongs into headers, from a variable"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{expected}, without ? or #; parameters go under query"));
    }
    let address = url.as_str().trim_end_matches('/');
    if let Some(call) = vendor::call_paths().find(|path| address.ends_with(path)) {
        return Err(format!("{expected}, without {call}: that is added for each call"));
    }
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        assert_eq!(base_url("http://h:1/v1///").as_deref(), Ok("http://h:1/v1"));
        assert_eq!(base_url("http://h/messages").as_deref(), Ok("http://h/messages"));
        let call = "http://h/v1/chat/completions/";
        for text in ["", "h", "ftp://h", "http://", "http://u:p@h", "http://h/?a=b", "/v1", call] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
