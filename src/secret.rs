//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};

use crate::plan::CrewPlan;

/// Shorter ones are no secrets, and would be found in innocent text.
const SHORTEST: usize = 8;
const REDACTED: &str = "[redacted]";

/// Headers whose names hold one of these carry secrets; others name a team or a version.
const TELLING: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];

/// API keys and secret header values.
#[derive(Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn of(plan: &CrewPlan) -> Self {
        let keys = plan.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let headers = plan.providers.iter().flat_map(|provider| &provider.headers);
        let is_secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            TELLING.iter().any(|part| name.contains(part))
        };
        let headers = headers.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        let all = keys.chain(headers);
        Self(all.filter(|secret| secret.expose_secret().len() >= SHORTEST).cloned().collect())
    }

    /// The text without any of them.
    pub fn redact(&self, text: String) -> String {
        self.0.iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
            if text.contains(secret) { text.replace(secret, REDACTED) } else { text }
        })
    }
}
