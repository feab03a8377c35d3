//! The providers that a file declares.

use std::collections::HashSet;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::provider::{self, KeyCommand, ProviderPlan, RateLimits};
use super::rate;
use crate::config::expand::is_variable_name;
use crate::config::faults::FaultLog;
use crate::config::file::ProviderConfig;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::text::quoted;
use crate::vendor::{self, Api};

/// A provider of the file. Its key has not been looked up.
#[derive(Debug)]
pub struct Declared {
    pub name: String,
    pub key_variable: Option<String>,
    key_command: Option<KeyCommand>,
    pub api: Api,
    api_is_given: bool,
    /// `None`: it has a fault, which is logged.
    base_url: Option<Url>,
    headers: HeaderMap,
    limits: RateLimits,
}

impl Declared {
    pub fn new(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Self {
        let api = config.api.unwrap_or_default();
        let mut base_url = match &config.base_url {
            None => {
                let hint = format!("such as base_url: {}", api.spec().example_base_url);
                log.key(path, format!("provider {name:?} has no base_url"), Some(hint));
                None
            }
            Some(text) => {
                let path = path.key("base_url");
                let fault = |why| {
                    log.hide(&path);
                    log.value(&path, why, None);
                };
                base_url(text).map_err(fault).ok()
            }
        };
        let query = Entries::of(config.query.as_ref());
        add_query(query, base_url.as_mut(), &path.key("query"), log);
        Self {
            name: name.to_owned(),
            key_variable: config
                .api_key_env
                .clone()
                .filter(|variable| key_variable(variable, &path.key("api_key_env"), log)),
            key_command: KeyCommand::check(config, path, log),
            api,
            api_is_given: config.api.is_some(),
            base_url,
            headers: sensitive(headers(config.headers.as_ref(), &path.key("headers"), log)),
            limits: rate::limits(config, path, log),
        }
    }

    /// The plan with this key. `None` if there is a fault, which is logged.
    pub fn plan(&self, key: Option<HeaderValue>) -> Option<ProviderPlan> {
        Some(ProviderPlan {
            name: self.name.clone(),
            vendor: None,
            api: self.api,
            api_is_given: self.api_is_given,
            base_url: self.base_url.clone()?,
            headers: provider::headers(self.api, key, &self.headers),
            key_variable: self.key_variable.clone(),
            key_command: self.key_command.clone(),
            limits: self.limits,
        })
    }
}

/// Adds the parameters to the URL. Like headers they may hold a secret, so no fault shows them.
fn add_query(
    query: &[(String, String)],
    mut url: Option<&mut Url>,
    path: &Path<'_>,
    log: &FaultLog,
) {
    for (name, value) in query {
        let path = path.key(name);
        log.hide(&path);
        if name.is_empty() {
            log.key(&path, "a parameter needs a name", None);
        }
        if let Some(url) = &mut url {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
}

/// The headers that HTTP allows. Faults of the others have been logged.
pub fn sensitive(headers: Vec<(String, SecretString)>) -> HeaderMap {
    let header = |(name, value): (String, SecretString)| {
        let mut value = HeaderValue::from_str(value.expose_secret()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    headers.into_iter().filter_map(header).collect()
}

/// Whether the text is the name of a variable. Otherwise it may be the key itself, so no fault
/// shows it.
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
    let hint = "put the key in a variable and write its name, such as LOCAL_KEY".to_owned();
    log.value(path, message, Some(hint));
    false
}

/// Checks the headers of a file. No fault shows their values.
pub fn headers(
    headers: Option<&Entries<String>>,
    path: &Path<'_>,
    log: &FaultLog,
) -> Vec<(String, SecretString)> {
    let mut seen = HashSet::new();
    let mut checked = Vec::new();
    for (name, value) in Entries::of(headers) {
        let path = path.key(name);
        log.hide(&path);
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            log.key(&path, format!("{} is not a header name", quoted(name)), None);
            continue;
        };
        let lower = header.as_str().to_owned();
        if ["host", "content-length", "transfer-encoding", "connection"].contains(&lower.as_str()) {
            log.key(&path, format!("crew sets the header {lower} itself"), None);
        }
        if !seen.insert(lower) {
            log.key(&path, "duplicate header", None);
        }
        if HeaderValue::from_str(value).is_err() {
            log.value(&path, "the value has characters that no HTTP header can carry", None);
        }
        checked.push((name.clone(), value.as_str().into()));
    }
    checked
}

/// The base URL, without slashes at its end.
pub fn base_url(text: &str) -> Result<Url, String> {
    let expected = "expected a URL such as http://127.0.0.1:8080/v1";
    let mut url = Url::parse(text.trim()).map_err(|error| format!("{expected}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("{expected}: only http and https are supported"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!("{expected}: put credentials in headers, from a variable"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{expected}, without ? or #: put parameters in query"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    if let Some(call) = vendor::call_paths().find(|call| path.ends_with(call)) {
        return Err(format!("{expected}, without {call}: crew adds it to each call"));
    }
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        let read = |text| base_url(text).map(String::from);
        assert_eq!(read("http://h:1/v1///").as_deref(), Ok("http://h:1/v1"));
        assert_eq!(read("http://h/messages").as_deref(), Ok("http://h/messages"));
        let call = "http://h/v1/chat/completions/";
        for text in ["", "h", "ftp://h", "http://", "http://u:p@h", "http://h/?a=b", "/v1", call] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
