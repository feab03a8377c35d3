//! Checks the names that a template uses, before anything runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::{self, AnswerContext, Piece, Template, Vars, agent_context, tool_context};

/// The agents with structured answers, with their schemas if these have no faults.
pub type Structured<'a> = HashMap<&'a str, Option<Arc<Schema>>>;

/// The names that a template can use.
pub enum Scope<'a> {
    Agent {
        vars: &'a Vars,
        needed: &'a [&'a str],
        agents: &'a HashSet<&'a str>,
        structured: &'a Structured<'a>,
    },
    Tool(&'a ToolScope<'a>),
}

/// The scope of a tool's templates, built once for all of them.
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
    /// Parses a template of the file and logs its faults.
    pub fn template(&self, source: &str, path: &Path<'_>, log: &FaultLog) -> Template {
        let template = match Template::parse(source) {
            Ok(template) => template,
            Err(error) => {
                let hint = source.contains("{{").then(|| {
                    "double braces begin a template; {{ '{{' }} prints the braces".to_owned()
                });
                let message = format!("invalid template: {}", error.message);
                log.line(path, error.line.unwrap_or(1), message, hint);
                log.mark_broken(path);
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
            let message = format!("the template cannot be rendered: {}", error.message);
            log.line(path, error.line.unwrap_or(1), message, None);
        }
        template
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
            (_, "input") => match rest {
                [] => None,
                _ => Some(("input is a text without attributes".to_owned(), None)),
            },
            (_, "vars") => {
                if !rest.is_empty() || is_used_whole("vars", code) {
                    log.use_variable(rest.first());
                }
                undefined_variable(self.vars().values(), rest, log)
            }
            (Self::Agent { needed, agents, structured, .. }, "agents") => {
                undefined_answer(needed, agents, structured, rest, log)
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

    /// The names that a template can begin with.
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

    fn stand_ins(&self) -> minijinja::Value {
        match self {
            Self::Agent { vars, needed, .. } => agent_context(
                "",
                vars,
                needed.iter().map(|name| (*name, AnswerContext::new("", None))),
            ),
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

fn undefined_answer(
    needed: &[&str],
    agents: &HashSet<&str>,
    structured: &Structured<'_>,
    rest: &[String],
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    let (name, rest) = rest.split_first()?;
    if !needed.contains(&name.as_str()) {
        if agents.contains(name.as_str()) {
            let message = format!("the answer of agent {name:?} is not available here");
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
            Some((format!("agents.{name}.output is a text without attributes"), None))
        }
        [data, parts @ ..] if data == "data" && structured.contains_key(name.as_str()) => {
            let schema = structured.get(name.as_str())?.as_ref()?;
            undefined_part(schema.schema(), parts, format!("agents.{name}.data"), log)
        }
        [data, ..] if data == "data" => {
            let message = format!("agents.{name} has no data: agent {name:?} has no output_schema");
            let hint = format!("give it an output_schema, or write agents.{name}.output");
            Some((message, Some(hint)))
        }
        [other, ..] => {
            let message = format!("agents.{name} has no {other:?}");
            let data = if structured.contains_key(name.as_str()) { " or .data" } else { "" };
            Some((message, Some(format!("write agents.{name}.output{data}"))))
        }
    }
}

/// Checks names in structured data, as far as the schema determines them.
fn undefined_part(
    mut schema: &Value,
    parts: &[String],
    mut shown: String,
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    for part in parts {
        match schema.get("type").and_then(Value::as_str)? {
            "object" if schema.get("$ref").is_none() => {}
            "string" | "integer" | "number" | "boolean" | "null" => {
                return Some((format!("{shown} is a single value without {part:?}"), None));
            }
            _ => return None,
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        shown = format!("{shown}.{part}");
        let Some(inner) = properties.and_then(|properties| properties.get(part)) else {
            let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
                && schema.get("patternProperties").is_none();
            let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
            let hint = is_closed.then(|| log.nearest(part, names));
            return hint.map(|hint| (format!("{shown} is not in the output_schema"), hint));
        };
        schema = inner;
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
