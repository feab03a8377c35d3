//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};

use crate::plan::{CrewPlan, is_telling};

/// Shorter ones are no secrets, and would be found in innocent text.
const SHORTEST: usize = 8;
const REDACTED: &str = "[redacted]";

/// API keys and the secret values of headers and queries.
#[derive(Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn of(plan: &CrewPlan) -> Self {
        let keys = plan.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let named = plan
            .providers
            .iter()
            .flat_map(|provider| provider.headers.iter().chain(&provider.query));
        let named = named.filter(|(name, _)| is_telling(name)).map(|(_, value)| value);
        Self::new(keys.chain(named).map(ExposeSecret::expose_secret))
    }

    fn new<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        // `Bearer KEY`: it may be repeated without its scheme.
        let with_bare = values.flat_map(|value| {
            [Some(value), value.split_once(' ').map(|(_, bare)| bare.trim())].into_iter().flatten()
        });
        let mut secrets: Vec<&str> = with_bare.filter(|secret| secret.len() >= SHORTEST).collect();
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self(secrets.into_iter().map(SecretString::from).collect())
    }

    /// The text without any of them.
    pub fn redact(&self, text: String) -> String {
        self.0.iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
            if text.contains(secret) { text.replace(secret, REDACTED) } else { text }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_taken_out_with_its_scheme_and_without() {
        let secrets = Secrets::new(["Bearer 0123456789", "short", "0123456789abc"].into_iter());
        for (text, expected) in [
            ("it is Bearer 0123456789.", "it is [redacted]."),
            ("it is 0123456789.", "it is [redacted]."),
            ("it is 0123456789abc.", "it is [redacted]."),
            ("it is short.", "it is short."),
        ] {
            assert_eq!(secrets.redact(text.to_owned()), expected);
        }
    }
}
