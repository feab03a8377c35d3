//! Checks the names that a template uses, before anything runs.

use std::collections::HashSet;

use serde_json::Value;

use super::check;
use super::facts::{Agents, undefined_answer};
use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::template::{
    self, AnswerContext, Expression, Piece, RunInput, Template, Vars, agent_context, tool_context,
};
use crate::text::quoted;

/// The names that templates of instances see besides.
pub const INSTANCE: [&str; 2] = ["item", "index"];

/// The names that a template can use.
pub enum Scope<'a> {
    Agent {
        vars: &'a Vars,
        /// The agent itself; `None` for a condition of the whole run.
        own: Option<&'a str>,
        needed: &'a [&'a str],
        agents: &'a Agents<'a>,
        /// Names that are defined besides, such as `item`.
        more: &'a [&'a str],
    },
    Tool(&'a ToolScope<'a>),
}

/// The scope of a tool's templates, built once for all of them.
pub struct ToolScope<'a> {
    vars: &'a Vars,
    parameters: HashSet<&'a str>,
    placeholders: minijinja::Value,
}

impl<'a> ToolScope<'a> {
    pub fn new(vars: &'a Vars, parameters: &[&'a str]) -> Self {
        let empty = |name: &&str| ((*name).to_owned(), Value::String(String::new()));
        let placeholders =
            tool_context(&RunInput::default(), vars, &parameters.iter().map(empty).collect());
        Self { vars, parameters: parameters.iter().copied().collect(), placeholders }
    }
}

impl Scope<'_> {
    /// Parses a template of the file and logs its faults.
    pub fn template(&self, source: &str, path: &Path<'_>, log: &FaultLog) -> Template {
        let (template, _) = self.checked(source, path, log);
        if !template.is_literal() {
            self.check_elements(source, false, path, log);
        }
        template
    }

    /// The template, and whether it has no fault.
    fn checked(&self, source: &str, path: &Path<'_>, log: &FaultLog) -> (Template, bool) {
        let template = match Template::parse(source) {
            Ok(template) => template,
            Err(error) => {
                let hint = source.contains("{{").then(|| {
                    "double braces begin a template; {{ '{{' }} prints the braces".to_owned()
                });
                let message = format!("invalid template: {}", error.message);
                log.line(path, error.line.unwrap_or(1), message, hint);
                log.mark_broken(path);
                return (Template::default(), false);
            }
        };
        if template.is_literal() {
            return (template, true);
        }
        let mut sound = true;
        let code = code(source);
        for name in self.names(&template, &code) {
            let fault = self.fault(&name, &code, log);
            let fault = fault.or_else(|| self.missing_in_item(&name, source, log));
            if let Some((message, hint)) = fault {
                log.word(path, &self.as_written(&name, source, &code), message, hint);
                sound = false;
            }
        }
        for (callee, name) in template::unknown_callees(source) {
            let names = callee.names().iter().copied();
            let hint = log.nearest(name, names.clone()).or_else(|| check::known(names));
            let message = format!("there is no {} {}", callee.word(), quoted(name));
            log.word(path, name, message, hint);
            sound = false;
        }
        if sound && let Err(error) = template.try_out(self.placeholders()) {
            let message = format!("the template cannot be rendered: {}", error.message);
            log.line(path, error.line.unwrap_or(1), message, None);
            sound = false;
        }
        (template, sound)
    }

    /// Parses an expression of the file; `None` if it has a fault, which is logged.
    pub fn expression(&self, text: &str, path: &Path<'_>, log: &FaultLog) -> Option<Expression> {
        if log.is_broken(path) {
            return None;
        }
        let expression = match Expression::parse(text) {
            Ok(expression) => expression,
            Err(error) => {
                log.broken(path, format!("invalid expression: {error}"), None);
                return None;
            }
        };
        let (_, is_sound) = self.checked(&expression.as_template(), path, log);
        self.check_parts(&expression, path, log);
        is_sound.then_some(expression)
    }

    /// The names that the template uses, also in brackets: `agents["my-agent"]` as
    /// `agents.my-agent`.
    fn names(&self, template: &Template, code: &str) -> Vec<Vec<String>> {
        let mut names = Vec::new();
        let mut leftovers = HashSet::new();
        for name in template.names() {
            let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
            if let [root, first, ..] = &parts[..]
                && let Some(hyphenated) = self.hyphenated(root, first, code)
            {
                leftovers.extend(hyphenated.split('-').skip(1).map(str::to_owned));
            }
            if parts.len() <= 2 {
                names.extend(bracketed(code, &parts));
            }
            names.push(parts);
        }
        names.retain(|parts| !parts.first().is_some_and(|root| leftovers.contains(root)));
        names.dedup();
        names
    }

    fn fault(
        &self,
        name: &[String],
        code: &str,
        log: &FaultLog,
    ) -> Option<(String, Option<String>)> {
        let (root, rest) = name.split_first()?;
        if let Some(first) = rest.first()
            && let Some(hyphenated) = self.hyphenated(root, first, code)
        {
            let message = format!("{root}.{hyphenated} is a subtraction");
            let output = if root == "agents" { ".output" } else { "" };
            return Some((message, Some(format!("write {root}[\"{hyphenated}\"]{output}"))));
        }
        match (self, root.as_str()) {
            (Self::Tool(tool), root) if tool.parameters.contains(root) => None,
            // Whether it has parts is known when it is read.
            (_, "input") => None,
            (_, "vars") => {
                if !rest.is_empty() || is_used_whole("vars", code) {
                    log.use_variable(rest.first());
                }
                undefined_variable(self.vars().values(), rest, log)
            }
            (Self::Agent { own: Some(own), more, .. }, "agents")
                if rest.first().is_some_and(|agent| agent == own) =>
            {
                let hint = match more.contains(&"output") {
                    true => "write output: the answer that is checked",
                    false => "only the answers of other agents can be used here",
                };
                let message = format!("agent {own:?} would need itself");
                Some((message, Some(hint.to_owned())))
            }
            (Self::Agent { needed, agents, .. }, "agents") => {
                undefined_answer(needed, agents, rest, log)
            }
            (Self::Agent { more, .. }, root) if more.contains(&root) => None,
            (_, root) if Template::is_global(root) => None,
            (_, root) => {
                let known = self.known();
                let hint = log
                    .nearest(root, known.iter().copied())
                    .unwrap_or_else(|| format!("defined here: {}", known.join(", ")));
                Some((format!("{root:?} is not defined here"), Some(hint)))
            }
        }
    }

    pub(super) fn vars(&self) -> &Vars {
        match self {
            Self::Agent { vars, .. } => vars,
            Self::Tool(tool) => tool.vars,
        }
    }

    /// The names that a template can begin with.
    fn known(&self) -> Vec<&str> {
        match self {
            Self::Agent { more, .. } => [&["input", "vars", "agents"], *more].concat(),
            Self::Tool(tool) => {
                let mut known: Vec<&str> = tool.parameters.iter().copied().collect();
                known.sort_unstable();
                known.extend(["input", "vars"]);
                known
            }
        }
    }

    /// The name with hyphens that begins with `ROOT.FIRST`.
    fn hyphenated(&self, root: &str, first: &str, code: &str) -> Option<String> {
        // A search through all names would be slow for every template.
        if !code.contains(&format!("{root}.{first}-")) {
            return None;
        }
        let begins = |name: &&str| {
            name.strip_prefix(first).is_some_and(|more| more.starts_with('-'))
                && code.contains(&format!("{root}.{name}"))
        };
        let found = match root {
            "agents" => {
                let Self::Agent { agents, .. } = self else { return None };
                agents.keys().copied().filter(begins).max_by_key(|name| name.len())
            }
            "vars" => self
                .vars()
                .values()
                .as_object()?
                .keys()
                .map(String::as_str)
                .filter(begins)
                .max_by_key(|n| n.len()),
            _ => None,
        };
        found.map(str::to_owned)
    }

    /// The name as the template spells it.
    fn as_written(&self, name: &[String], source: &str, code: &str) -> String {
        let dotted = name.join(".");
        match name {
            [root, first, ..] if !source.contains(&dotted) => {
                let double = source.contains(&format!("{root}[\"{first}\"]"));
                let quote = if double { '"' } else { '\'' };
                format!("{root}[{quote}{first}{quote}]")
            }
            [root, first, ..] => self
                .hyphenated(root, first, code)
                .map_or(dotted, |hyphenated| format!("{root}.{hyphenated}")),
            _ => dotted,
        }
    }

    fn placeholders(&self) -> minijinja::Value {
        match self {
            Self::Agent { vars, needed, .. } => {
                let answers = needed.iter().map(|name| (*name, AnswerContext::new("", None)));
                agent_context(&RunInput::default(), vars, answers)
            }
            Self::Tool(tool) => tool.placeholders.clone(),
        }
    }
}

fn undefined_variable(
    vars: &Value,
    rest: &[String],
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    let mut value = vars;
    let mut shown = "vars".to_owned();
    for part in rest {
        // The rendering checks attributes of lists.
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Array(_) => return None,
            _ => return Some((format!("{shown} is a single value without {part:?}"), None)),
        };
        let Some(next) = entries.get(part) else {
            let hint = log
                .nearest(part, entries.keys().map(String::as_str))
                .unwrap_or_else(|| format!("define it in the file: vars: {{{part}: …}}"));
            return Some((format!("{shown}.{part} is not defined"), Some(hint)));
        };
        shown = format!("{shown}.{part}");
        value = next;
    }
    None
}

/// The code of all tags.
fn code(source: &str) -> String {
    let code: Vec<&str> = template::pieces(source).iter().map(Piece::code).collect();
    code.join(" ")
}

/// Whether code uses a name other than in the forms `name.…` and `name["…"]`.
fn is_used_whole(name: &str, code: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
    code.match_indices(name).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        !before.ends_with(in_word) && !after.starts_with(in_word) && item(after).is_none()
    })
}

/// All names in the code of the forms `ROOT["name"].attribute` and `ROOT.name["attribute"]`.
fn bracketed(code: &str, before: &[String]) -> Vec<Vec<String>> {
    let mut names = Vec::new();
    let start = before.join(".");
    for (at, _) in code.match_indices(&format!("{start}[")) {
        let earlier = code[..at].chars().next_back();
        if earlier.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
            continue;
        }
        let Some((name, after)) = item(&code[at + start.len()..]) else { continue };
        let mut parts = before.to_vec();
        parts.push(name.to_owned());
        if let Some(attribute) = after.strip_prefix('.') {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let end = attribute.find(|c| !word(c)).unwrap_or(attribute.len());
            parts.push(attribute[..end].to_owned());
        } else if let Some((attribute, _)) = item(after) {
            parts.push(attribute.to_owned());
        }
        names.push(parts);
    }
    names
}

/// The name in `["name"]`, and what follows it.
fn item(code: &str) -> Option<(&str, &str)> {
    let inside = code.strip_prefix('[')?;
    let quote = inside.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (name, after) = inside[1..].split_once(quote)?;
    Some((name, after.strip_prefix(']')?))
}
