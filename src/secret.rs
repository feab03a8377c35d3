//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};

use crate::plan::CrewPlan;

/// Shorter ones are no secrets, and would be found in innocent text.
const SHORTEST: usize = 8;
const REDACTED: &str = "[redacted]";

/// API keys and secret header values.
#[derive(Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn of(plan: &CrewPlan) -> Self {
        let keys = plan.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let headers = plan.providers.iter().flat_map(|provider| &provider.headers);
        let all = keys.chain(headers.filter(|header| header.secret).map(|header| &header.value));
        Self(all.filter(|secret| secret.expose_secret().len() >= SHORTEST).cloned().collect())
    }

    /// The text without any of them.
    pub fn redact(&self, text: String) -> String {
        self.0.iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
            if text.contains(secret) { text.replace(secret, REDACTED) } else { text }
        })
    }
}
