//! The rate limits of a provider.

use super::check;
use super::provider::RateLimits;
use crate::config::faults::FaultLog;
use crate::config::file::ProviderConfig;
use crate::config::place::Path;

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
    }
}

/// The limits of a built-in provider. The file may set nothing else of it.
pub fn of_built_in(
    name: &str,
    config: &ProviderConfig,
    path: &Path<'_>,
    log: &FaultLog,
) -> RateLimits {
    let others = [
        ("api", config.api.is_some()),
        ("base_url", config.base_url.is_some()),
        ("api_key_env", config.api_key_env.is_some()),
        ("query", config.query.is_some()),
        ("headers", config.headers.is_some()),
    ];
    for (key, _) in others.into_iter().filter(|(_, given)| *given) {
        let path = path.key(key);
        log.hide(&path);
        let message = format!("{name} is built in: only its limits can be set here");
        log.key(&path, message, Some("declare a provider with another name".to_owned()));
    }
    limits(config, path, log)
}
