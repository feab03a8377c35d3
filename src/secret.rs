//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::plan::{CrewPlan, is_telling};

/// Bytes. Below this a value is found in innocent text: nothing is taken for it but the value on
/// its own, and that only if it looks like no word. `none`, `ollama` and the like are what people
/// give a server that asks for no key; what is real and still this short has a digit or a sign.
const SHORT: usize = 8;
/// Whatever is shorter protects nothing, and would be found in every number.
const SHORTEST: usize = 4;
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
        let mut secrets = Self::default();
        keys.chain(named).for_each(|value| secrets.add(value.expose_secret()));
        secrets
    }

    /// A value to be taken out, unless it cannot be one.
    pub fn add(&mut self, value: &str) {
        // `Bearer KEY`: it may be repeated without its scheme.
        let bare = value.split_once(' ').map(|(_, bare)| bare.trim());
        let values = [Some(value), bare].into_iter().flatten();
        self.0.extend(values.filter(|value| is_secret(value)).map(SecretString::from));
        // The longest first: one may be a part of another.
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
    }

    /// The text without any of them.
    pub fn redact(&self, text: String) -> String {
        self.0.iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
            if !text.contains(secret) {
                text
            } else if secret.len() < SHORT {
                redact_alone(&text, secret)
            } else {
                text.replace(secret, REDACTED)
            }
        })
    }

    /// The value without any of them in its texts and names.
    pub fn redact_value(&self, value: Value) -> Value {
        match value {
            _ if self.0.is_empty() => value,
            Value::String(text) => Value::String(self.redact(text)),
            Value::Array(items) => items.into_iter().map(|item| self.redact_value(item)).collect(),
            Value::Object(entries) => {
                let entries = entries.into_iter();
                entries.map(|(name, value)| (self.redact(name), self.redact_value(value))).collect()
            }
            plain => plain,
        }
    }
}

fn is_secret(value: &str) -> bool {
    let is_word = value.chars().all(char::is_alphabetic);
    value.len() >= SHORT || value.len() >= SHORTEST && !is_word
}

/// Takes the secret out where it is not a part of something longer.
fn redact_alone(text: &str, secret: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(secret) {
        let (before, after) = (&text[..at], &text[at + secret.len()..]);
        if !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric) {
            redacted.push_str(&text[from..at]);
            redacted.push_str(REDACTED);
            from = at + secret.len();
        }
    }
    redacted + &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(secrets: &[&str], text: &str) -> String {
        let mut known = Secrets::default();
        secrets.iter().for_each(|secret| known.add(secret));
        known.redact(text.to_owned())
    }

    #[test]
    fn a_secret_is_taken_out_with_its_scheme_and_without() {
        let secrets = ["Bearer 0123456789", "short", "0123456789abc"];
        for (text, expected) in [
            ("it is Bearer 0123456789.", "it is [redacted]."),
            ("it is 0123456789.", "it is [redacted]."),
            ("it is 0123456789abc.", "it is [redacted]."),
            ("it is short.", "it is short."),
        ] {
            assert_eq!(redact(&secrets, text), expected);
        }
    }

    #[test]
    fn a_secret_is_taken_out_of_every_part_of_a_value() {
        let mut known = Secrets::default();
        known.add("sk-0123456789");
        let value = serde_json::json!({"a": ["is sk-0123456789", 1], "sk-0123456789": null});
        let expected = serde_json::json!({"a": ["is [redacted]", 1], "[redacted]": null});
        assert_eq!(known.redact_value(value), expected);
    }

    #[test]
    fn a_short_secret_is_taken_out_where_it_stands_alone() {
        for (secret, text, expected) in [
            ("sk-1", "key sk-1, not sk-12: \"sk-1\"", "key [redacted], not sk-12: \"[redacted]\""),
            ("Bearer a1b2", "a1b2 in xa1b2", "[redacted] in xa1b2"),
            ("none", "there were none", "there were none"),
            ("ollama", "ask ollama", "ask ollama"),
            ("12", "12 of 12", "12 of 12"),
            ("password", "thepassword", "the[redacted]"),
        ] {
            assert_eq!(redact(&[secret], text), expected);
        }
    }
}
