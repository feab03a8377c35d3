//! The secrets a run knows, taken out of everything it shows.

use secrecy::{ExposeSecret, SecretString};

use crate::plan::template::Template;
use crate::plan::{CrewPlan, McpAccess, ToolKind, ToolPlan, names_a_secret};
use crate::tool::capture::LEFT_OUT;

/// Shorter ones are no secrets, and would be found in innocent text.
const SHORTEST: usize = 8;
/// What is taken for a part of one.
const SHORTEST_HALF: usize = 4;
const REDACTED: &str = "[redacted]";

/// API keys and secret values of headers and of queries.
#[derive(Debug, Default)]
pub struct Secrets(Vec<SecretString>);

impl Secrets {
    pub fn of(plan: &CrewPlan) -> Self {
        let keys = plan.providers.iter().filter_map(|provider| provider.api_key.as_ref());
        let keys = keys.chain(&plan.secrets);
        let servers = plan.mcp_servers.iter().flat_map(|server| match &server.access {
            McpAccess::Process { env, .. } => env,
            McpAccess::Http { headers, .. } => headers,
        });
        let headers = plan.providers.iter().flat_map(|provider| &provider.headers).chain(servers);
        let tools = plan.tools().into_iter().flat_map(of_tool);
        let tools = tools.filter(|(name, _)| names_a_secret(name));
        let tools: Vec<&str> = tools.map(|(_, value)| value.source()).collect();
        let headers = headers.filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value);
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

    /// A tool's output without any of them. Where its middle was left out one may have been cut in
    /// two, so its halves are taken out there.
    pub fn redact_output(&self, output: String, truncated: bool) -> String {
        let output = self.redact(output);
        if !truncated || self.0.is_empty() {
            return output;
        }
        let (before, after) = LEFT_OUT;
        // A tool can write the same marks: what stands at any of them is looked at.
        let mut pieces = output.split(before).peekable();
        let mut clean =
            self.without_end(pieces.next().unwrap_or_default(), pieces.peek().is_some());
        while let Some(piece) = pieces.next() {
            clean.push_str(before);
            let mut rest = piece;
            if let Some((count, tail)) = piece.split_once(after) {
                clean.push_str(count);
                clean.push_str(after);
                let half = self.values().filter_map(|secret| half_at_start(tail, secret)).max();
                clean.push_str(half.map_or("", |_| REDACTED));
                rest = &tail[half.unwrap_or(0)..];
            }
            clean.push_str(&self.without_end(rest, pieces.peek().is_some()));
        }
        clean
    }

    fn without_end(&self, piece: &str, is_cut: bool) -> String {
        let half = self.values().filter_map(|secret| half_at_end(piece, secret)).max();
        match half.filter(|_| is_cut) {
            Some(half) => format!("{}{REDACTED}", &piece[..piece.len() - half]),
            None => piece.to_owned(),
        }
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(ExposeSecret::expose_secret)
    }
}

/// How many bytes of the secret's beginning the text ends with.
fn half_at_end(text: &str, secret: &str) -> Option<usize> {
    let fits = |length: &usize| secret.get(..*length).is_some_and(|half| text.ends_with(half));
    (SHORTEST_HALF..secret.len()).rev().find(fits)
}

/// How many bytes of the secret's end the text begins with.
fn half_at_start(text: &str, secret: &str) -> Option<usize> {
    let fits = |length: &usize| {
        secret.get(secret.len() - length..).is_some_and(|half| text.starts_with(half))
    };
    (SHORTEST_HALF..secret.len()).rev().find(fits)
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

    #[test]
    fn no_half_of_a_secret_stays_where_something_was_left_out() {
        let secrets = Secrets::new(["0123456789abc"].into_iter());
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
}
