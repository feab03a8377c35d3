//! Which names a template may use, checked before anything runs.

use std::collections::HashSet;

use serde_json::Value;

use super::template::{Template, Vars, agent_context, tool_context};
use crate::config::faults::FaultLog;
use crate::config::place::Path;

/// What is defined where a template stands.
pub enum Scope<'a> {
    Agent { vars: &'a Vars, needed: &'a [&'a str], agents: &'a HashSet<&'a str> },
    Tool(&'a ToolScope<'a>),
}

/// The same for all templates of a tool: there may be as many as parameters.
pub struct ToolScope<'a> {
    vars: &'a Vars,
    parameters: HashSet<&'a str>,
    stand_ins: minijinja::Value,
}

impl<'a> ToolScope<'a> {
    pub fn new(vars: &'a Vars, parameters: &[&'a str]) -> Self {
        let empty = |name: &&str| ((*name).to_owned(), Value::String(String::new()));
        let stand_ins = tool_context("", vars, &parameters.iter().map(empty).collect());
        Self { vars, parameters: parameters.iter().copied().collect(), stand_ins }
    }
}

impl Scope<'_> {
    /// Parses a template of the file and notes what is wrong with it.
    pub fn template(&self, source: &str, path: &Path<'_>, log: &FaultLog) -> Template {
        let template = match Template::parse(source) {
            Ok(template) => template,
            Err(error) => {
                let hint = source.contains("{{").then(|| {
                    "text in double braces is a template; {{ '{{' }} prints the braces".to_owned()
                });
                log.broken(path, format!("this template does not parse: {error}"), hint);
                return Template::default();
            }
        };
        if template.is_literal() {
            return template;
        }
        let mut sound = true;
        let code = code(source);
        for name in self.names(&template, &code) {
            if let Some((message, hint)) = self.fault(&name, &code, log) {
                log.word(path, &self.as_written(&name, source, &code), message, hint);
                sound = false;
            }
        }
        if sound && let Err(error) = template.try_out(self.stand_ins()) {
            log.value(path, format!("this template cannot be filled in: {error}"), None);
        }
        template
    }

    /// The names used, those in brackets included: `agents["my-agent"]` as `agents.my-agent`.
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
            if parts.len() == 1 {
                names.extend(bracketed(code, &name));
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
            let message = format!("{root}.{hyphenated} reads as a subtraction");
            let output = if root == "agents" { ".output" } else { "" };
            return Some((message, Some(format!("write {root}[\"{hyphenated}\"]{output}"))));
        }
        match (self, root.as_str()) {
            (Self::Tool(tool), root) if tool.parameters.contains(root) => None,
            (_, "input") => match rest {
                [] => None,
                _ => Some(("input is a text: it has no attributes".to_owned(), None)),
            },
            (_, "vars") => undefined_variable(self.vars().values(), rest, log),
            (Self::Agent { needed, agents, .. }, "agents") => {
                undefined_output(needed, agents, rest, log)
            }
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

    fn vars(&self) -> &Vars {
        match self {
            Self::Agent { vars, .. } => vars,
            Self::Tool(tool) => tool.vars,
        }
    }

    /// The names it may begin with.
    fn known(&self) -> Vec<&str> {
        match self {
            Self::Agent { .. } => vec!["input", "vars", "agents"],
            Self::Tool(tool) => {
                let mut known: Vec<&str> = tool.parameters.iter().copied().collect();
                known.sort_unstable();
                known.extend(["input", "vars"]);
                known
            }
        }
    }

    /// The name with hyphens that `ROOT.FIRST` is only the beginning of.
    fn hyphenated(&self, root: &str, first: &str, code: &str) -> Option<String> {
        // Looking through all names is not for every template.
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
                agents.iter().copied().filter(begins).max_by_key(|name| name.len())
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

    /// How the template spells a name.
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

    fn stand_ins(&self) -> minijinja::Value {
        match self {
            Self::Agent { vars, needed, .. } => {
                agent_context("", vars, needed.iter().map(|name| (*name, "".into())))
            }
            Self::Tool(tool) => tool.stand_ins.clone(),
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
        // What a list's attributes are is left to the rendering.
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Array(_) => return None,
            _ => return Some((format!("{shown} is a single value: it has no {part:?}"), None)),
        };
        let Some(next) = entries.get(part) else {
            let hint = log
                .nearest(part, entries.keys().map(String::as_str))
                .unwrap_or_else(|| format!("give it a value in the file: vars: {{{part}: …}}"));
            return Some((format!("{shown}.{part} is not defined"), Some(hint)));
        };
        shown = format!("{shown}.{part}");
        value = next;
    }
    None
}

fn undefined_output(
    needed: &[&str],
    agents: &HashSet<&str>,
    rest: &[String],
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    let (name, rest) = rest.split_first()?;
    if !needed.contains(&name.as_str()) {
        if agents.contains(name.as_str()) {
            let message = format!("the answer of agent {name:?} is not known here");
            return Some((message, Some(format!("add {name} to this agent's needs"))));
        }
        let mut sorted: Vec<&str> = agents.iter().copied().collect();
        sorted.sort_unstable();
        return Some((format!("there is no agent {name:?}"), log.nearest(name, sorted)));
    }
    match rest {
        [] => None,
        [output] if output == "output" => None,
        [output, ..] if output == "output" => {
            Some((format!("agents.{name}.output is a text: it has no attributes"), None))
        }
        [other, ..] => {
            let message = format!("agents.{name} has no {other:?}");
            Some((message, Some(format!("write agents.{name}.output"))))
        }
    }
}

/// What stands between the template's braces.
fn code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest[at..].starts_with("{{") { "}}" } else { "%}" };
        let inside = &rest[at + 2..];
        let end = inside.find(close).unwrap_or(inside.len());
        code.push_str(&inside[..end]);
        code.push(' ');
        rest = inside.get(end + 2..).unwrap_or_default();
    }
    code
}

/// `ROOT["name"].attribute` wherever it stands in the code.
fn bracketed(code: &str, root: &str) -> Vec<Vec<String>> {
    let mut names = Vec::new();
    for (at, _) in code.match_indices(&format!("{root}[")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.')) {
            continue;
        }
        let inside = &code[at + root.len() + 1..];
        let Some(quote @ ('"' | '\'')) = inside.chars().next() else { continue };
        let Some((name, after)) = inside[1..].split_once(quote) else { continue };
        let Some(after) = after.strip_prefix(']') else { continue };
        let mut parts = vec![root.to_owned(), name.to_owned()];
        if let Some(attribute) = after.strip_prefix('.') {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let end = attribute.find(|c| !word(c)).unwrap_or(attribute.len());
            parts.push(attribute[..end].to_owned());
        }
        names.push(parts);
    }
    names
}
