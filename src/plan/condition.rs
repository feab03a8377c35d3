//! What can be known of an expression before anything runs.

use super::comparison::compared_text;
use super::elements::{Place, element_attributes};
use super::facts::{Data, UnnamedKind, UnnamedPart, kind_of, unnamed_part};
use super::scope::Scope;
use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::template::{Expression, RunInput, Template, agent_context, tokens};
use crate::text::quoted;

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

    /// Checks the parts of answers that an expression uses and its template does not show: those
    /// that an open `output_schema` does not name, and those of the elements of lists.
    pub fn check_parts(&self, expression: &Expression, path: &Path<'_>, log: &FaultLog) {
        let Self::Agent { agents, .. } = self else { return };
        for name in expression.paths() {
            let ["agents", agent, "data", parts @ ..] = &name.parts[..] else { continue };
            let facts = agents.get(agent).filter(|facts| !facts.has_items);
            if let Some(Data::Schema(schema)) = facts.map(|facts| &facts.data)
                && let Some(unnamed) = unnamed_part(schema.schema(), parts, log)
                && matches!(unnamed.kind, UnnamedKind::Allowed)
            {
                unnamed_warning(name.source, unnamed, path, log);
            }
        }
        let source = expression.source();
        for attribute in element_attributes(source, &tokens(source)) {
            let ["agents", agent, list @ ..] = &attribute.list.parts[..] else { continue };
            let Some(facts) = agents.get(agent) else { continue };
            let known = facts.of_elements(list, &attribute.parts);
            let unnamed = known.and_then(|(schema, parts)| unnamed_part(schema, parts, log));
            let Some(unnamed) = unnamed else { continue };
            let written = attribute.source;
            let shown = match attribute.place {
                Place::Indexed { .. } => written.to_owned(),
                Place::Filter { .. } => format!("{written} of {}", attribute.list.source),
            };
            let part = quoted(&unnamed.part);
            match unnamed.kind {
                UnnamedKind::Allowed => unnamed_warning(&shown, unnamed, path, log),
                UnnamedKind::Forbidden => {
                    let message = format!("{shown}: {part} is not in the output_schema");
                    log.word(path, written, message, unnamed.hint);
                }
                UnnamedKind::Single => {
                    let message = format!("{shown}: this is a single value without {part}");
                    log.word(path, written, message, None);
                }
            }
        }
    }
}

/// Warns of a part that an `output_schema` neither names nor forbids. It may be undefined, and a
/// comparison with that is never true.
fn unnamed_warning(shown: &str, unnamed: UnnamedPart, path: &Path<'_>, log: &FaultLog) {
    let part = quoted(&unnamed.part);
    let message = format!("{shown}: the output_schema does not name {part}");
    let hint = unnamed.hint.unwrap_or_else(|| {
        "a part that an answer lacks is undefined, and no comparison with it is true".to_owned()
    });
    log.warning(path, message, Some(hint));
}
