//! What is known of the agents of a file before anything runs.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use crate::config::faults::FaultLog;
use crate::config::flow::ItemsConfig;
use crate::structured::Schema;

/// What templates can know of the agents of a file, by name.
pub type Agents<'a> = HashMap<&'a str, AgentFacts<'a>>;

/// What templates can know of an agent.
#[derive(Debug)]
pub struct AgentFacts<'a> {
    pub data: Data,
    /// It has a model, whose text may be anything.
    pub has_model: bool,
    /// The list of its instances, which make it have `items`, and a list as `data`.
    pub items: Option<&'a ItemsConfig>,
}

impl AgentFacts<'_> {
    pub fn has_items(&self) -> bool {
        self.items.is_some()
    }

    /// The key without which it has no data.
    pub fn lacks(&self) -> &'static str {
        if self.has_model { "output_schema" } else { "parse: lines or json" }
    }

    /// Whether its output, or the one of its instances, is whatever a model wrote.
    pub fn is_free_text(&self, of_instance: bool) -> bool {
        self.has_model && (self.has_items() || !of_instance) && matches!(self.data, Data::Nothing)
    }

    /// The kind of the value under these attributes, if it is known.
    pub fn kind(&self, attributes: &[&str]) -> Option<&'static str> {
        match attributes {
            [] => Some("a mapping"),
            ["output" | "status"] => Some("a text"),
            ["items"] => Some("a list"),
            ["data"] if self.has_items() || matches!(self.data, Data::Lines) => Some("a list"),
            ["data", parts @ ..] if !self.has_items() => {
                let Data::Schema(schema) = &self.data else { return None };
                match schema_of(schema.schema(), parts)?.get("type")?.as_str()? {
                    "string" => Some("a text"),
                    "integer" | "number" => Some("a number"),
                    "boolean" => Some("a boolean"),
                    "array" => Some("a list"),
                    "object" => Some("a mapping"),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The schema of the part of an answer under these names.
fn schema_of<'s>(schema: &'s Value, parts: &[&str]) -> Option<&'s Value> {
    parts.iter().try_fold(schema, |schema, part| schema.get("properties")?.get(*part))
}

/// What a value is.
pub fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// What is known of an agent's `data`.
#[derive(Debug)]
pub enum Data {
    Nothing,
    Lines,
    /// Any JSON.
    Any,
    Schema(Arc<Schema>),
}

/// What is wrong with `agents` and these names after it, and a hint.
pub fn undefined_answer(
    needed: &[&str],
    agents: &Agents<'_>,
    rest: &[String],
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    let (name, rest) = rest.split_first()?;
    let Some(facts) = agents.get(name.as_str()) else {
        let mut sorted: Vec<&str> = agents.keys().copied().collect();
        sorted.sort_unstable();
        return Some((format!("there is no agent {name:?}"), log.nearest(name, sorted)));
    };
    if !needed.contains(&name.as_str()) {
        let message = format!("the answer of agent {name:?} is not available here");
        return Some((message, Some(format!("add {name} to this agent's needs"))));
    }
    let (attribute, rest) = rest.split_first()?;
    match (attribute.as_str(), rest) {
        ("output" | "status", [_, ..]) => {
            Some((format!("agents.{name}.{attribute} is a text without attributes"), None))
        }
        ("output" | "status" | "error", []) => None,
        ("error", [part, ..]) => (!matches!(part.as_str(), "kind" | "message")).then(|| {
            let message = format!("agents.{name}.error has no {part:?}");
            (message, Some("it has kind and message".to_owned()))
        }),
        ("data", parts) => undefined_data(name, facts, parts, log),
        ("items", _) if facts.has_items() => None,
        ("items", _) => {
            let message = format!("agents.{name} has no items: agent {name:?} has no for_each");
            Some((message, Some(format!("write agents.{name}.output"))))
        }
        (other, _) => {
            let message = format!("agents.{name} has no {other:?}");
            let data = if matches!(facts.data, Data::Nothing) { "" } else { " or .data" };
            Some((message, Some(format!("write agents.{name}.output{data}"))))
        }
    }
}

fn undefined_data(
    name: &str,
    facts: &AgentFacts<'_>,
    parts: &[String],
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    match &facts.data {
        Data::Nothing => {
            let lacks = facts.lacks();
            let message = format!("agents.{name} has no data: agent {name:?} has no {lacks}");
            let hint = format!("give it an {lacks}, or write agents.{name}.output");
            let hint = if facts.has_model { hint } else { hint.replacen(" an ", " ", 1) };
            Some((message, Some(hint)))
        }
        // What a list's attributes are is left to the rendering.
        _ if facts.has_items() => None,
        Data::Lines | Data::Any => None,
        Data::Schema(schema) => {
            undefined_part(schema.schema(), parts, format!("agents.{name}.data"), log)
        }
    }
}

/// What a schema leaves open is only known when the agent has answered.
fn undefined_part(
    schema: &Value,
    parts: &[String],
    shown: String,
    log: &FaultLog,
) -> Option<(String, Option<String>)> {
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let unnamed = unnamed_part(schema, &parts, log)?;
    let shown = [&[shown.as_str()], &parts[..unnamed.depth]].concat().join(".");
    match unnamed.kind {
        UnnamedKind::Single => {
            let message = format!("{shown} is a single value without {:?}", unnamed.part);
            Some((message, None))
        }
        UnnamedKind::Forbidden => {
            Some((format!("{shown}.{} is not in the output_schema", unnamed.part), unnamed.hint))
        }
        UnnamedKind::Allowed => None,
    }
}

/// The first of the parts of an answer that its schema does not name.
pub struct UnnamedPart {
    pub part: String,
    /// The number of parts before it.
    depth: usize,
    pub kind: UnnamedKind,
    /// A similar name.
    pub hint: Option<String>,
}

pub enum UnnamedKind {
    /// The value has no parts.
    Single,
    Forbidden,
    /// The schema allows parts that it does not name.
    Allowed,
}

/// Looks for the parts in a schema. `None` if it names all of them or cannot be followed.
pub fn unnamed_part(mut schema: &Value, parts: &[&str], log: &FaultLog) -> Option<UnnamedPart> {
    for (depth, part) in parts.iter().enumerate() {
        let unnamed =
            |kind, hint| Some(UnnamedPart { part: (*part).to_owned(), depth, kind, hint });
        match schema.get("type").and_then(Value::as_str)? {
            "object" if schema.get("$ref").is_none() => {}
            "string" | "integer" | "number" | "boolean" | "null" => {
                return unnamed(UnnamedKind::Single, None);
            }
            _ => return None,
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let Some(inner) = properties.and_then(|properties| properties.get(*part)) else {
            let has_patterns = schema.get("patternProperties").is_some();
            let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            let names = properties.into_iter().flatten().map(|(name, _)| name.as_str());
            return match (is_closed && !has_patterns, properties) {
                (true, _) => unnamed(UnnamedKind::Forbidden, log.nearest(part, names)),
                (false, Some(_)) if !has_patterns => {
                    unnamed(UnnamedKind::Allowed, log.nearest(part, names))
                }
                _ => None,
            };
        };
        schema = inner;
    }
    None
}
