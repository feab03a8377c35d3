//! Words of a server, made fit for a message: no secret, no control characters, bounded.

use crate::secret::Secrets;

/// Longest quote of a server's own message, in characters.
const MESSAGE_CHARS: usize = 400;

/// Longest excerpt of an answer that could not be read.
const EXCERPT_CHARS: usize = 160;

/// What of a server's bytes is looked at for a quote.
const QUOTED_BYTES: usize = 64 * 1024;

/// Servers echo keys: what is quoted of an endpoint's answers holds none of them.
impl Secrets {
    /// One line of what a server said. Redacted before it is cut, so that no half of a secret
    /// is left at the end.
    pub fn quote(&self, words: &str) -> String {
        cut(self.redact(one_line(head(words))), MESSAGE_CHARS)
    }

    /// A short excerpt of what could not be read.
    pub fn quote_bytes(&self, bytes: &[u8]) -> String {
        let quoted = self.quote(&String::from_utf8_lossy(&bytes[..bytes.len().min(QUOTED_BYTES)]));
        cut(quoted, EXCERPT_CHARS)
    }
}

fn head(words: &str) -> &str {
    &words[..words.floor_char_boundary(QUOTED_BYTES)]
}

/// Control characters gone, runs of white space made one space.
pub fn one_line(words: &str) -> String {
    let mut line = String::with_capacity(words.len());
    for word in words.split(|c: char| c.is_whitespace() || c == '\0') {
        let before = line.len();
        line.extend(word.chars().filter(|c| !is_unprintable(*c)));
        if line.len() > before {
            line.push(' ');
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Controls, and the format characters that turn or hide text on a terminal.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Cut to `limit` characters, the last of them an ellipsis if anything is missing.
pub fn cut(mut line: String, limit: usize) -> String {
    if let Some((keep, _)) = line.char_indices().nth(limit.saturating_sub(1))
        && line[keep..].chars().nth(1).is_some()
    {
        line.truncate(keep);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(values: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for value in values {
            secrets.add(value);
        }
        secrets
    }

    #[test]
    fn secrets_are_replaced_wherever_they_stand() {
        let secrets = secrets(&["sk-abc", "sk-abcdef", "Bearer other-key", "ab"]);
        assert_eq!(
            secrets.quote("keys sk-abcdef, sk-abc and other-key; ab"),
            "keys [redacted], [redacted] and [redacted]; ab"
        );
    }

    #[test]
    fn a_control_character_does_not_hide_a_secret() {
        assert_eq!(secrets(&["sk-abcdef"]).quote("sk-\u{1b}abc\u{202e}def"), "[redacted]");
    }

    #[test]
    fn a_secret_at_the_cut_leaves_nothing_of_itself() {
        let key = "sk-0123456789";
        let words = format!("{} {key}", "x".repeat(MESSAGE_CHARS - 6));
        let quoted = secrets(&[key]).quote(&words);
        assert!(!quoted.contains("sk-"), "{quoted}");
        assert!(quoted.chars().count() <= MESSAGE_CHARS);
    }

    #[test]
    fn quotes_are_one_bounded_line() {
        let quoted = Secrets::default().quote(&"two\r\nlines \u{1b}[31m\t".repeat(10_000));
        assert!(quoted.starts_with("two lines [31m two"));
        assert_eq!(quoted.chars().count(), MESSAGE_CHARS);
        assert!(quoted.ends_with('…'));
        assert_eq!(cut("abc".into(), 3), "abc");
        assert_eq!(cut("abcd".into(), 3), "ab…");
    }
}
