//! What can be known of an expression before anything runs.

use super::facts::{AgentFacts, kind_of};
use super::scope::Scope;
use crate::template::{Expression, Template, agent_context};

impl Scope<'_> {
    /// What the value of an expression is, where a single name tells.
    pub fn known_kind(&self, expression: &Expression) -> Option<&'static str> {
        let source = expression.source();
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        if !source.chars().all(is_name) {
            return None;
        }
        let parts: Vec<&str> = source.split('.').collect();
        match (self, &parts[..]) {
            (_, ["input"]) => Some("a text"),
            (_, ["vars", rest @ ..]) => {
                let value = rest.iter().try_fold(self.vars().values(), |value, key| value.get(key));
                // A text may be true or false: `--var` gives nothing else.
                value.map(kind_of).filter(|kind| *kind != "a text")
            }
            (Self::Agent { agents, .. }, ["agents", name, rest @ ..]) => {
                agents.get(name)?.kind(rest)
            }
            _ => None,
        }
    }

    /// Whether the value of an expression depends on the file alone.
    pub fn is_constant(&self, expression: &Expression) -> bool {
        let is_known = |name: &str| name.split('.').next() == Some("vars");
        expression.names().iter().all(|name| is_known(name) || Template::is_global(name))
    }

    /// The values that constant expressions see.
    pub fn constants(&self) -> minijinja::Value {
        agent_context("", self.vars(), [])
    }

    /// The free text of a model that an expression compares, and with what.
    pub fn compared_text(&self, expression: &Expression) -> Option<(String, &'static str)> {
        let Self::Agent { agents, .. } = self else { return None };
        let source = expression.source();
        for (at, _) in source.match_indices("agents") {
            let rest = &source[at..];
            let is_name = |c: char| c.is_alphanumeric() || "_.-[]'\"".contains(c);
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            let plain = word.replace("['", ".").replace("[\"", ".").replace(['\'', '"', ']'], "");
            let Some(name) =
                plain.strip_prefix("agents.").and_then(|name| name.strip_suffix(".output"))
            else {
                continue;
            };
            if !agents.get(name).is_some_and(AgentFacts::is_free_text) {
                continue;
            }
            let before = source[..at].trim_end_matches([' ', '(']);
            let mut after = rest[end..].trim_start();
            while let Some(filter) = after.strip_prefix('|') {
                after = filter
                    .trim_start()
                    .trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
                after = after.trim_start();
            }
            let sign = |text: &str, is_after: bool| {
                ["==", "!="].into_iter().find(|sign| match is_after {
                    true => text.starts_with(sign),
                    false => text.ends_with(sign),
                })
            };
            if let Some(sign) = sign(after, true).or_else(|| sign(before, false)) {
                return Some((word.to_owned(), sign));
            }
        }
        None
    }
}
