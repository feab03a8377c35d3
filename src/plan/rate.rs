//! The limits of providers, and what else the file may say of a built-in one.

use super::check;
use super::provider::{KeyCommand, RateLimits};
use crate::config::faults::FaultLog;
use crate::config::file::ProviderConfig;
use crate::config::place::Path;
use crate::vendor::{Api, Vendor};

pub fn limits(config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> RateLimits {
    let whole = |key, given: Option<u64>, max| {
        given.and_then(|value| check::whole(&value, 1..=max, &path.key(key), log))
    };
    let requests = whole("requests_per_minute", config.requests_per_minute, 10_000_000);
    RateLimits {
        max_concurrency: whole("max_concurrency", config.max_concurrency, 100_000)
            .map(|calls| calls as usize),
        requests_per_minute: requests.map(|requests| requests as usize),
        tokens_per_minute: whole("tokens_per_minute", config.tokens_per_minute, 1 << 50),
        period: None,
    }
}

/// What the file says of a built-in provider.
#[derive(Debug, Clone, Default)]
pub struct BuiltIn {
    /// One of the APIs that the vendor serves at the same address with the same header.
    pub api: Option<Api>,
    pub key_command: Option<KeyCommand>,
    pub limits: RateLimits,
}

impl BuiltIn {
    pub fn new(name: &str, config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Self {
        let others = [
            ("base_url", config.base_url.is_some()),
            ("api_key_env", config.api_key_env.is_some()),
            ("query", config.query.is_some()),
            ("headers", config.headers.is_some()),
        ];
        for (key, _) in others.into_iter().filter(|(_, given)| *given) {
            let path = path.key(key);
            log.hide(&path);
            let message =
                format!("{name} is built in: only its API, key command and limits can be set here");
            log.key(&path, message, Some("declare a provider with another name".to_owned()));
        }
        let fits = |api: &Api| {
            let own = Vendor::named(name).map(|vendor| vendor.api.spec().key_header);
            own == Some(api.spec().key_header)
        };
        if let Some(api) = config.api.filter(|api| !fits(api)) {
            let hint = "declare a provider with another name".to_owned();
            let message = format!("{name} does not serve the {api} API");
            log.value(&path.key("api"), message, Some(hint));
        }
        let key_command = KeyCommand::check(config, path, log);
        Self { api: config.api, key_command, limits: limits(config, path, log) }
    }
}
