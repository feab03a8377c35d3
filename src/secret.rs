//! The secrets that a run knows, removed from everything that it shows.

mod unfinished;

use std::sync::Arc;

use parking_lot::RwLock;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::text::{LEFT_OUT, json, one_line, truncate};

/// A value of fewer bytes is likely to occur in harmless text. It is redacted only where it stands
/// alone, and only if it is neither a word nor a number: people give `none` or `ollama` to servers
/// that need no key, while short keys mix letters and digits.
const SHORT: usize = 8;
/// A value of fewer bytes is never redacted: it would be found in every number.
const SHORTEST: usize = 4;
/// The fewest bytes at a cut that are redacted as a part of a secret.
const SHORTEST_HALF: usize = 4;
/// Characters of a server's or tool's words that a message quotes.
const MAX_QUOTE: usize = 400;
/// Characters of an excerpt of bytes that could not be read.
const MAX_EXCERPT: usize = 160;
/// Bytes that are read for a quote.
const MAX_QUOTE_SOURCE: usize = 64 * 1024;
const REDACTED: &str = "[redacted]";

/// Whether something was redacted in a text.
pub fn is_redacted(text: &str) -> bool {
    text.contains(REDACTED)
}

/// API keys and the secret values of headers and queries.
///
/// Clones share their values: a key that is added during a run is redacted everywhere.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<RwLock<Values>>);

/// The longest first: one may be a part of another.
type Values = Arc<[SecretString]>;

impl Secrets {
    /// Adds a value to redact, in every spelling that text repeats it in. A value that is too short
    /// or too plain to be a secret is left out.
    pub fn add(&self, value: &str) {
        let mut shared = self.0.write();
        let mut values = shared.to_vec();
        // Of `Bearer KEY` the key may be repeated alone.
        let bare = value.split_once(' ').map(|(_, bare)| bare.trim());
        for value in [Some(value), bare].into_iter().flatten().filter(|value| is_secret(value)) {
            // Servers repeat the address that was requested, and messages quote JSON.
            let quoted = Value::from(value).to_string();
            let in_json = quoted[1..quoted.len() - 1].to_owned();
            let spellings = [Some(value.to_owned()), in_query(value), Some(in_json)];
            for spelling in spellings.into_iter().flatten() {
                if !values.iter().any(|known| known.expose_secret() == spelling) {
                    values.push(SecretString::from(spelling));
                }
            }
        }
        values.sort_by_key(|secret| std::cmp::Reverse(secret.expose_secret().len()));
        *shared = values.into();
    }

    /// The text without secrets.
    pub fn redact(&self, text: String) -> String {
        self.values().iter().map(ExposeSecret::expose_secret).fold(text, |text, secret| {
            if !text.contains(secret) {
                text
            } else if secret.len() < SHORT {
                redact_alone(&text, secret)
            } else {
                text.replace(secret, REDACTED)
            }
        })
    }

    /// A JSON document without secrets, where a text can be written in many ways. Text that is not
    /// JSON is redacted as it stands.
    pub fn redact_json(&self, text: String) -> String {
        if self.values().is_empty() {
            return text;
        }
        let Ok(value) = json::value(text.as_bytes()) else { return self.redact(text) };
        let redacted = self.redact_value(value.clone());
        // As it was written, where nothing was found: numbers can lose digits.
        if redacted == value { text } else { redacted.to_string() }
    }

    /// The value without secrets in its texts and names.
    pub fn redact_value(&self, value: Value) -> Value {
        match value {
            _ if self.values().is_empty() => value,
            Value::String(text) => Value::String(self.redact(text)),
            Value::Array(items) => items.into_iter().map(|item| self.redact_value(item)).collect(),
            Value::Object(entries) => {
                let entries = entries.into_iter();
                entries.map(|(name, value)| (self.redact(name), self.redact_value(value))).collect()
            }
            plain => plain,
        }
    }

    /// A tool's output without secrets. Where its middle was left out, a secret may have been cut
    /// in two, so its halves are removed there.
    pub fn redact_output(&self, output: String, truncated: bool) -> String {
        let output = self.redact(output);
        if !truncated || self.values().is_empty() {
            return output;
        }
        let (before, after) = LEFT_OUT;
        // A tool can write the same marks, so the text at each of them is checked.
        let mut pieces = output.split(before).peekable();
        let mut clean =
            self.without_end(pieces.next().unwrap_or_default(), pieces.peek().is_some());
        while let Some(piece) = pieces.next() {
            clean.push_str(before);
            let mut rest = piece;
            if let Some((count, tail)) = piece.split_once(after) {
                clean.push_str(count);
                clean.push_str(after);
                let values = self.values();
                let known = values.iter().map(ExposeSecret::expose_secret);
                let half = known.filter_map(|secret| half_at_start(tail, secret)).max();
                clean.push_str(half.map_or("", |_| REDACTED));
                rest = &tail[half.unwrap_or(0)..];
            }
            clean.push_str(&self.without_end(rest, pieces.peek().is_some()));
        }
        clean
    }

    /// One line of a server's or tool's words, for a message: at most [`MAX_QUOTE`] characters,
    /// redacted before it is cut, so that no part of a secret is left at its end.
    pub fn quote(&self, words: &str) -> String {
        let head = &words[..words.floor_char_boundary(MAX_QUOTE_SOURCE)];
        truncate(self.redact(one_line(head)), MAX_QUOTE)
    }

    /// A short excerpt of bytes that could not be read.
    pub fn quote_bytes(&self, bytes: &[u8]) -> String {
        let head = &bytes[..bytes.len().min(MAX_QUOTE_SOURCE)];
        truncate(self.quote(&String::from_utf8_lossy(head)), MAX_EXCERPT)
    }

    fn without_end(&self, piece: &str, is_cut: bool) -> String {
        let values = self.values();
        let known = values.iter().map(ExposeSecret::expose_secret);
        let half = known.filter_map(|secret| half_at_end(piece, secret, SHORTEST_HALF)).max();
        match half.filter(|_| is_cut) {
            Some(half) => format!("{}{REDACTED}", &piece[..piece.len() - half]),
            None => piece.to_owned(),
        }
    }

    fn values(&self) -> Values {
        self.0.read().clone()
    }
}

/// How many bytes of the secret's beginning the text ends with, if there are `min` or more.
fn half_at_end(text: &str, secret: &str, min: usize) -> Option<usize> {
    let fits = |length: &usize| secret.get(..*length).is_some_and(|half| text.ends_with(half));
    (min..secret.len()).rev().find(fits)
}

/// How many bytes of the secret's end the text begins with.
fn half_at_start(text: &str, secret: &str) -> Option<usize> {
    let fits = |length: &usize| {
        secret.get(secret.len() - length..).is_some_and(|half| text.starts_with(half))
    };
    (SHORTEST_HALF..secret.len()).rev().find(fits)
}

/// As it is sent in a query.
fn in_query(value: &str) -> Option<String> {
    let mut url = Url::parse("http://h/").ok()?;
    url.query_pairs_mut().append_key_only(value);
    url.query().map(str::to_owned)
}

fn is_secret(value: &str) -> bool {
    let is_plain =
        value.chars().all(char::is_alphabetic) || value.chars().all(|c| c.is_ascii_digit());
    value.len() >= SHORT || value.len() >= SHORTEST && !is_plain
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

/// Parts of names whose values are secrets; others name a team or a version.
const TELLING: [&str; 8] =
    ["auth", "key", "token", "secret", "cookie", "password", "credential", "signature"];

/// The ends of names of variables that say where a secret is, or whose it is.
const NO_SECRETS: [&str; 4] = ["_path", "_file", "_dir", "_name"];

/// Whether the value of this name is likely to be a secret.
pub fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|part| name.contains(part))
}

/// Whether a variable of this name is likely to hold a secret. Whole words count, not parts of
/// them: `BOT_TOKEN` and `APIKEY`, but neither `AUTHOR`, `MAX_TOKENS` nor `SSH_KEY_PATH`.
pub fn names_a_secret(variable: &str) -> bool {
    let variable = variable.to_ascii_lowercase();
    let is_place = NO_SECRETS.iter().any(|end| variable.ends_with(end));
    let tells = |word: &str| {
        TELLING.iter().any(|part| word.strip_suffix('s').unwrap_or(word).ends_with(part))
    };
    !is_place && variable.split('_').any(|word| word != "tokens" && tells(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(secrets: &[&str], text: &str) -> String {
        let known = Secrets::default();
        secrets.iter().for_each(|secret| known.add(secret));
        known.redact(text.to_owned())
    }

    #[test]
    fn a_secret_in_json_is_found_however_it_is_spelt() {
        let known = Secrets::default();
        ["c2VjcmV0==", "4096"].iter().for_each(|secret| known.add(secret));
        for (json, expected) in [
            (r#"{"t":"c2VjcmV0\u003d="}"#, r#"{"t":"[redacted]"}"#),
            (r#"{"c2VjcmV0\u003d\u003d":[1]}"#, r#"{"[redacted]":[1]}"#),
            (r#"{ "n": 4096, "x": 1e400 }"#, r#"{ "n": 4096, "x": 1e400 }"#),
            (r#"{"cut": "c2VjcmV0=="#, r#"{"cut": "[redacted]"#),
        ] {
            assert_eq!(known.redact_json(json.to_owned()), expected);
        }
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
        let known = Secrets::default();
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

    #[test]
    fn no_half_of_a_secret_stays_where_something_was_left_out() {
        let secrets = Secrets::default();
        secrets.add("0123456789abc");
        let cut = |text: &str| secrets.redact_output(text.to_owned(), true);
        let marked = |head: &str, tail: &str| format!("{head}\n[… 7 bytes left out …]\n{tail}");
        for (head, tail, clean_head, clean_tail) in [
            ("x 0123456", "9abc y", "x [redacted]", "[redacted] y"),
            ("0123", "123456789abc", "[redacted]", "[redacted]"),
            ("0123456789abc", "0123456789abc", "[redacted]", "[redacted]"),
            ("x 012", "abc y", "x 012", "abc y"),
            ("9abc", "0123", "9abc", "0123"),
            ("", "", "", ""),
        ] {
            assert_eq!(cut(&marked(head, tail)), marked(clean_head, clean_tail));
        }
        let forged = marked("x 01234", &marked("y 01234", "9abc"));
        assert_eq!(cut(&forged), marked("x [redacted]", &marked("y [redacted]", "[redacted]")));
        assert_eq!(cut("0123"), "0123");
        assert_eq!(secrets.redact_output(marked("0123", ""), false), marked("0123", ""));
    }

    fn secrets_of(values: &[&str]) -> Secrets {
        let secrets = Secrets::default();
        for value in values {
            secrets.add(value);
        }
        secrets
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
        let secrets = secrets_of(&["sk-abc", "sk-abcdef", "Bearer other-key", "ab"]);
        assert_eq!(
            secrets.quote("keys sk-abcdef, sk-abc and other-key; ab"),
            "keys [redacted], [redacted] and [redacted]; ab"
        );
    }

    #[test]
    fn a_control_character_does_not_hide_a_secret() {
        assert_eq!(secrets_of(&["sk-abcdef"]).quote("sk-\u{1b}abc\u{202e}def"), "[redacted]");
    }

    #[test]
    fn a_secret_at_the_cut_leaves_nothing_of_itself() {
        let key = "sk-0123456789";
        let words = format!("{} {key}", "x".repeat(MAX_QUOTE - 6));
        let quoted = secrets_of(&[key]).quote(&words);
        assert!(!quoted.contains("sk-"), "{quoted}");
        assert!(quoted.chars().count() <= MAX_QUOTE);
    }

    #[test]
    fn quotes_are_one_bounded_line() {
        let quoted = Secrets::default().quote(&"two\r\nlines \u{1b}[31m\t".repeat(10_000));
        assert!(quoted.starts_with("two lines [31m two"));
        assert_eq!(quoted.chars().count(), MAX_QUOTE);
        assert!(quoted.ends_with('…'));
    }
}
