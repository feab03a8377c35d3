//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};

use crate::plan::template::Template;
use crate::plan::{CrewPlan, ToolKind, ToolPlan};

/// Shorter ones are no secrets, and would be found in innocent text.
const SHORTEST: usize = 8;
const REDACTED: &str = "[redacted]";

/// Headers whose names hold one of these carry secrets; others name a team or a version.
const TELLING: [&str; 6] = ["auth", "key", "token", "secret", "cookie", "password"];

/// API keys and secret values of headers and of queries.
#[derive(Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn of(plan: &CrewPlan) -> Self {
        let keys = plan.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let keys = keys.chain(&plan.secrets);
        let headers = plan.providers.iter().flat_map(|provider| &provider.headers);
        let is_secret = |name: &str| {
            let name = name.to_ascii_lowercase();
            TELLING.iter().any(|part| name.contains(part))
        };
        let tools = plan.tools().into_iter().flat_map(of_tool).filter(|(name, _)| is_secret(name));
        let tools: Vec<&str> = tools.map(|(_, value)| value.source()).collect();
        let headers = headers.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        Self::new(keys.chain(headers).map(ExposeSecret::expose_secret).chain(tools))
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

/// Headers and parameters of a tool's requests that are the same in each of them.
fn of_tool(tool: &ToolPlan) -> Vec<(&str, &Template)> {
    let ToolKind::Http(http) = &tool.kind else { return Vec::new() };
    let headers = http.headers.iter().map(|header| (header.name.as_str(), &header.value));
    let query = http.query.iter().map(|(name, value)| (name.as_str(), value));
    headers.chain(query).filter(|(_, value)| value.is_literal()).collect()
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
