//! What can be known of an expression before anything runs.

use super::comparison::compared_text;
use super::elements::{Place, of_template};
use super::facts::kind_of;
use super::literal::literals;
use super::scope::{INSTANCE, Scope};
use super::shape::{Known, Missing, Shape};
use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::template::{
    Expression, PieceKind, RunInput, Template, Token, agent_context, live, name_at, tokens,
};

impl Scope<'_> {
    /// The kind of an expression's value, where a single name decides it.
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
        agent_context(&RunInput::default(), self.vars(), [])
    }

    /// The free text of a model that an expression compares, and with which sign.
    pub fn compared_text<'e>(&self, expression: &'e Expression) -> Option<(&'e str, &'e str)> {
        let Self::Agent { agents, .. } = self else { return None };
        let is_free_text = |name: &str, of_instance| {
            agents.get(name).is_some_and(|facts| facts.is_free_text(of_instance))
        };
        compared_text(expression.source(), is_free_text)
    }

    /// Checks the parts that an expression names and its template does not show: those that an open
    /// `output_schema` does not name.
    pub fn check_parts(&self, expression: &Expression, path: &Path<'_>, log: &FaultLog) {
        let source = expression.as_template();
        let Some(known) = self.known_values(&source, log) else { return };
        for name in expression.paths() {
            let (value, parts) = match &name.parts[..] {
                ["agents", agent, "data", parts @ ..] => {
                    (["agents", *agent, "data"].to_vec(), parts)
                }
                ["item", parts @ ..] => (vec!["item"], parts),
                _ => continue,
            };
            let missing = known.value(&value).and_then(|value| known.missing(&value, parts));
            if let Some(missing) = missing.filter(|missing| missing.is_allowed) {
                warn(name.source, missing, path, log);
            }
        }
        self.check_elements(&source, true, path, log);
    }

    /// Checks the parts that a template takes from the elements of lists. `warns`: also those that
    /// an open `output_schema` does not name.
    pub fn check_elements(&self, source: &str, warns: bool, path: &Path<'_>, log: &FaultLog) {
        let Some(known) = self.known_values(source, log) else { return };
        for piece in live(source) {
            let tokens = tokens(piece.code());
            for start in 0..tokens.len() {
                let Some(name) = name_at(piece.code(), &tokens, start) else { continue };
                let literals = literals(&tokens, start, start + name.length);
                if literals.is_empty() {
                    continue;
                }
                let value = known.value(&name.parts);
                if let Some(never) = value.and_then(|value| known.never(&value, &literals)) {
                    let message = format!("{}: {}", name.source, never.message);
                    log.word(path, name.source, message, never.hint);
                }
            }
        }
        for attribute in of_template(source) {
            let element = known.value(&attribute.list.parts).and_then(Shape::element);
            let Some(element) = element else { continue };
            let never =
                || known.never(&known.inner(&element, &attribute.parts)?, &attribute.literals);
            let missing = known.missing(&element, &attribute.parts).or_else(never);
            let Some(missing) = missing else { continue };
            let written = attribute.source;
            let shown = match attribute.place {
                Place::Indexed { .. } => written.to_owned(),
                Place::Filter { .. } | Place::Loop => {
                    format!("{written} of {}", attribute.list.source)
                }
            };
            if !missing.is_allowed {
                log.word(path, written, format!("{shown}: {}", missing.message), missing.hint);
            } else if warns {
                warn(&shown, missing, path, log);
            }
        }
    }

    /// What is wrong with `item` and these names after it, and a hint.
    pub fn missing_in_item(
        &self,
        name: &[String],
        source: &str,
        log: &FaultLog,
    ) -> Option<(String, Option<String>)> {
        let (root, parts) = name.split_first()?;
        if root != INSTANCE[0] || parts.is_empty() {
            return None;
        }
        let known = self.known_values(source, log)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let missing = known.missing(&known.value(&[root])?, &parts)?;
        let message = format!("{}: {}", name.join("."), missing.message);
        (!missing.is_allowed).then_some((message, missing.hint))
    }

    /// What is known of the values that a template sees.
    fn known_values<'k>(&'k self, source: &str, log: &'k FaultLog) -> Option<Known<'k>> {
        let Self::Agent { vars, own, agents, more, .. } = self else { return None };
        let [item, _] = INSTANCE;
        let own = own.filter(|_| more.contains(&item) && !gives_value(source, item));
        Some(Known { vars: vars.values(), agents, own, log })
    }
}

/// Whether a template itself gives a name a value.
fn gives_value(source: &str, name: &str) -> bool {
    let is_given = |pair: &[Token<'_>]| {
        matches!(pair[0].text, "for" | "set" | "with" | ",") && pair[1].text == name
    };
    live(source).iter().any(|piece| {
        piece.kind == PieceKind::Statement && tokens(piece.code()).windows(2).any(is_given)
    })
}

/// Warns of a part that an `output_schema` neither names nor forbids. It may be undefined, and a
/// comparison with that is never true.
fn warn(shown: &str, missing: Missing, path: &Path<'_>, log: &FaultLog) {
    let hint = missing.hint.unwrap_or_else(|| {
        "a part that an answer lacks is undefined, and no comparison with it is true".to_owned()
    });
    log.warning(path, format!("{shown}: {}", missing.message), Some(hint));
}
