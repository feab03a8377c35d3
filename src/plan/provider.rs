//! Model servers as a plan has them.

use secrecy::SecretString;

use crate::vendor::{Api, Vendor};

/// An endpoint that serves models.
#[derive(Debug)]
pub struct ProviderPlan {
    pub name: String,
    /// `None`: declared in the file.
    pub vendor: Option<&'static Vendor>,
    pub api: Api,
    /// What the SDK of the protocol's vendor takes: for OpenAI's with the version, for the others
    /// without. No slash at its end; `http` or `https`.
    pub base_url: String,
    /// Added to the address of every call.
    pub query: Vec<(String, SecretString)>,
    pub api_key: Option<SecretString>,
    /// The variable that the key is from.
    pub key_variable: Option<String>,
    pub headers: Vec<(String, SecretString)>,
    pub limits: RateLimits,
}

/// What an endpoint is to be spared, all agents together; `None`: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Calls in flight.
    pub max_concurrency: Option<usize>,
    pub requests_per_minute: Option<usize>,
    /// Read and written together.
    pub tokens_per_minute: Option<u64>,
}

impl RateLimits {
    /// The narrower one of each limit.
    pub fn narrowed(self, other: Self) -> Self {
        fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            one.into_iter().chain(other).min()
        }
        Self {
            max_concurrency: least(self.max_concurrency, other.max_concurrency),
            requests_per_minute: least(self.requests_per_minute, other.requests_per_minute),
            tokens_per_minute: least(self.tokens_per_minute, other.tokens_per_minute),
        }
    }
}
