//! The model servers of a plan.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::check;
use crate::config::faults::FaultLog;
use crate::config::file::ProviderConfig;
use crate::config::place::Path;
use crate::secret::is_telling;
use crate::vendor::{Api, Vendor};

const MINUTE: Duration = Duration::from_secs(60);

/// A model server, with everything that a request to it needs.
#[derive(Debug)]
pub struct ProviderPlan {
    pub name: String,
    /// `None`: declared in the file.
    pub vendor: Option<&'static Vendor>,
    pub api: Api,
    /// The file names the API, for all models of the server.
    pub api_is_given: bool,
    /// `http` or `https`, with the query of every call. Ends where the vendor's SDK expects it: for
    /// OpenAI's API after the version, for others before it.
    pub base_url: Url,
    /// Headers of every request: the API's, and as sensitive ones the key's and the file's.
    pub headers: HeaderMap,
    /// The environment variable that holds the key.
    pub key_variable: Option<String>,
    /// The command that prints the key.
    pub key_command: Option<KeyCommand>,
    pub limits: RateLimits,
}

/// A command that prints an API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCommand {
    /// The program and its arguments. Not empty.
    pub argv: Vec<String>,
    /// The folder of a program whose name contains `/`.
    pub base_dir: Arc<PathBuf>,
}

impl KeyCommand {
    /// `None` if the file has none, or a fault has been logged.
    pub fn check(config: &ProviderConfig, path: &Path<'_>, log: &FaultLog) -> Option<Self> {
        let argv = config.api_key_command.as_ref()?;
        let path = path.key("api_key_command");
        if config.api_key_env.is_some() {
            log.key(&path, "api_key_command is not allowed beside api_key_env", None);
        }
        if argv.first().is_none_or(String::is_empty) {
            let hint = "such as [gcloud, auth, print-access-token]".to_owned();
            log.value(&path, "the command has no program", Some(hint));
            return None;
        }
        Some(Self { argv: argv.clone(), base_dir: check::base_dir(&path, log) })
    }
}

impl ProviderPlan {
    /// The base URL without its query, which may hold a key.
    pub fn address(&self) -> String {
        let mut url = self.base_url.clone();
        url.set_query(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The headers and query parameters whose names say that they hold a secret.
    pub fn secrets(&self) -> impl Iterator<Item = (String, String)> {
        let headers = self.headers.iter().map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        let query = self.base_url.query_pairs();
        let query = query.map(|(name, value)| (name.into_owned(), value.into_owned()));
        headers.chain(query).filter(|(name, _)| is_telling(name))
    }
}

/// The headers of every request: the API's, the key's and the file's. Of two with one name, the
/// latter is sent.
pub fn headers(api: Api, key: Option<HeaderValue>, file: &HeaderMap) -> HeaderMap {
    let spec = api.spec();
    let fixed = spec.headers.iter().map(|(name, value)| (*name, HeaderValue::from_static(value)));
    let key = key.map(|key| (spec.key_header, key));
    let own = fixed.chain(key).map(|(name, value)| (HeaderName::from_static(name), value));
    let mut headers: HeaderMap = own.collect();
    headers.extend(file.clone());
    headers
}

/// The limits of one provider, for all agents together; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Concurrent calls.
    pub max_concurrency: Option<usize>,
    pub requests_per_minute: Option<usize>,
    /// Input and output together.
    pub tokens_per_minute: Option<u64>,
    /// The time for which both rates hold. `None`: a minute, and a call beyond the limit counts for
    /// one only. Set for the share of a part of a batch, which may be less than a request a minute.
    pub period: Option<Duration>,
}

impl RateLimits {
    /// The share of one of so many processes. Together they keep to the rates; each may make one
    /// call at a time.
    pub fn share(self, processes: u32) -> Self {
        let processes = u64::from(processes.max(1));
        let requests = self.requests_per_minute.map(|requests| requests as u64);
        let minutes = requests.map_or(1, |requests| processes.div_ceil(requests.max(1)));
        let share = |limit: u64| (limit.saturating_mul(minutes) / processes).max(1);
        Self {
            max_concurrency: self.max_concurrency.map(|max| (max / processes as usize).max(1)),
            requests_per_minute: requests.map(|requests| share(requests) as usize),
            tokens_per_minute: self.tokens_per_minute.map(share),
            period: (processes > 1).then(|| MINUTE.saturating_mul(minutes as u32)),
        }
    }

    /// The lower of each limit.
    pub fn lower_of(self, other: Self) -> Self {
        fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            max_concurrency: lower(self.max_concurrency, other.max_concurrency),
            requests_per_minute: lower(self.requests_per_minute, other.requests_per_minute),
            tokens_per_minute: lower(self.tokens_per_minute, other.tokens_per_minute),
            period: self.period.or(other.period),
        }
    }
}
