//! What is known of values before anything runs: of items, instances, variables and answers.

use serde_json::Value;

use super::check;
use super::elements::list_of;
use super::facts::{AgentFacts, Agents, Data, UnnamedKind, unnamed_part};
use crate::config::faults::FaultLog;
use crate::config::flow::ItemsConfig;
use crate::report::{AgentStatus, word};
use crate::text::quoted;

/// What templates see of an instance.
const INSTANCE: [&str; 6] = ["key", "item", "status", "output", "data", "error"];
const STATUSES: [AgentStatus; 5] = [
    AgentStatus::Succeeded,
    AgentStatus::Failed,
    AgentStatus::TimedOut,
    AgentStatus::Cancelled,
    AgentStatus::Skipped,
];

/// What is known of a value.
#[derive(Debug)]
pub enum Shape<'a> {
    /// It is one of these values of the file.
    Values(Vec<&'a Value>),
    /// It follows this schema.
    Schema(&'a Value),
    /// It is an instance of this agent.
    Instance(&'a str),
    /// It is a list of these.
    List(Box<Self>),
    Text,
    /// It is the status of an agent.
    Status,
}

/// What a value cannot have or be.
#[derive(Debug)]
pub struct Missing {
    /// As the end of a sentence that begins with the name of the value.
    pub message: String,
    pub hint: Option<String>,
    /// A schema neither names nor forbids it.
    pub is_allowed: bool,
}

impl Missing {
    fn new(message: String, hint: Option<String>) -> Self {
        Self { message, hint, is_allowed: false }
    }

    fn of_single(part: &str) -> Self {
        Self::new(format!("this is a single value without {}", quoted(part)), None)
    }
}

/// What is known where a template stands.
pub struct Known<'a> {
    pub vars: &'a Value,
    pub agents: &'a Agents<'a>,
    /// The agent whose `item` the template sees.
    pub own: Option<&'a str>,
    pub log: &'a FaultLog,
}

impl<'a> Known<'a> {
    /// The value under these names.
    pub fn value(&self, path: &[&str]) -> Option<Shape<'a>> {
        let (shape, rest) = match path {
            ["vars", rest @ ..] => (Shape::Values(vec![self.vars]), rest),
            ["item", rest @ ..] => (self.item(self.own?)?, rest),
            ["agents", name, part, rest @ ..] => {
                let (name, facts) = self.agents.get_key_value(*name)?;
                let shape = match *part {
                    "status" => Shape::Status,
                    "output" => Shape::Text,
                    "items" if facts.has_items() => Shape::List(Shape::Instance(name).into()),
                    "data" if facts.has_items() => Shape::List(data(facts)?.into()),
                    "data" => data(facts)?,
                    _ => return None,
                };
                (shape, rest)
            }
            _ => return None,
        };
        rest.iter().try_fold(shape, |shape, part| self.part(&shape, part))
    }

    /// An item of an agent's list.
    fn item(&self, agent: &str) -> Option<Shape<'a>> {
        match self.agents.get(agent)?.items? {
            ItemsConfig::List(items) => Some(Shape::Values(items.iter().collect())),
            ItemsConfig::Expression(text) => match list_of(text)?.parts[..] {
                // Lists see no item.
                ["item", ..] => None,
                ref path => self.value(path)?.element(),
            },
        }
    }

    fn part(&self, shape: &Shape<'a>, part: &str) -> Option<Shape<'a>> {
        match shape {
            Shape::Values(values) => {
                let found: Vec<_> = values.iter().filter_map(|value| value.get(part)).collect();
                (!found.is_empty()).then_some(Shape::Values(found))
            }
            Shape::Schema(schema) if schema.get("$ref").is_none() => {
                schema.get("properties")?.get(part).map(Shape::Schema)
            }
            Shape::Instance(agent) => match part {
                "status" => Some(Shape::Status),
                "key" | "output" => Some(Shape::Text),
                "data" => data(self.agents.get(agent)?),
                "item" => self.item(agent),
                _ => None,
            },
            Shape::Schema(_) | Shape::List(_) | Shape::Text | Shape::Status => None,
        }
    }

    /// The value of these parts of a value.
    pub fn inner(&self, shape: &Shape<'a>, parts: &[&str]) -> Option<Shape<'a>> {
        match parts {
            [] => None,
            [part] => self.part(shape, part),
            [part, rest @ ..] => self.inner(&self.part(shape, part)?, rest),
        }
    }

    /// The first of these texts that the value cannot be.
    pub fn never(&self, shape: &Shape<'a>, texts: &[&str]) -> Option<Missing> {
        let possible = shape.texts()?;
        let text = texts.iter().find(|text| !possible.iter().any(|known| known == *text))?;
        let names = || possible.iter().map(String::as_str);
        let hint = self.log.nearest(text, names()).or_else(|| check::known(names()));
        Some(Missing::new(format!("this is never {}", quoted(text)), hint))
    }

    /// The first of these parts that the value cannot have. `None`: it may have all of them.
    pub fn missing(&self, shape: &Shape<'a>, parts: &[&str]) -> Option<Missing> {
        let (part, rest) = parts.split_first()?;
        match shape {
            Shape::Schema(schema) => {
                let unnamed = unnamed_part(schema, parts, self.log)?;
                let part = quoted(&unnamed.part);
                Some(match unnamed.kind {
                    UnnamedKind::Single => Missing::of_single(&unnamed.part),
                    UnnamedKind::Forbidden => {
                        Missing::new(format!("{part} is not in the output_schema"), unnamed.hint)
                    }
                    UnnamedKind::Allowed => Missing {
                        message: format!("the output_schema does not name {part}"),
                        hint: unnamed.hint,
                        is_allowed: true,
                    },
                })
            }
            Shape::Instance(agent) => self.missing_in_instance(agent, part, rest),
            Shape::Values(values) => {
                if values.is_empty() || values.iter().any(|value| value.is_array()) {
                    return None;
                }
                if let Some(inner) = self.part(shape, part) {
                    return self.missing(&inner, rest);
                }
                let mappings = || values.iter().filter_map(|value| value.as_object());
                if mappings().next().is_none() {
                    return Some(Missing::of_single(part));
                }
                let keys = mappings().flat_map(|mapping| mapping.keys().map(String::as_str));
                let message = format!("no value in the file has {} here", quoted(part));
                Some(Missing::new(message, self.log.nearest(part, keys)))
            }
            Shape::Text | Shape::Status => Some(Missing::of_single(part)),
            Shape::List(_) => None,
        }
    }

    fn missing_in_instance(&self, agent: &str, part: &str, rest: &[&str]) -> Option<Missing> {
        match (part, rest) {
            ("error", [inner, ..]) if !matches!(*inner, "kind" | "message") => {
                let message = format!("an error has no {}", quoted(inner));
                Some(Missing::new(message, Some("it has kind and message".to_owned())))
            }
            ("error", _) => None,
            ("data", _) if matches!(self.agents.get(agent)?.data, Data::Nothing) => {
                let lacks = self.agents.get(agent)?.lacks();
                let message = format!("there is no data: agent {} has no {lacks}", quoted(agent));
                Some(Missing::new(message, Some("write output".to_owned())))
            }
            (known, rest) if INSTANCE.contains(&known) => {
                let shape = self.part(&Shape::Instance(self.name(agent)?), known)?;
                self.missing(&shape, rest)
            }
            _ => {
                let all = || "it has key, item, status, output, data and error".to_owned();
                let hint = self.log.nearest(part, INSTANCE).unwrap_or_else(all);
                let message = format!("an instance has no {}", quoted(part));
                Some(Missing::new(message, Some(hint)))
            }
        }
    }

    fn name(&self, agent: &str) -> Option<&'a str> {
        self.agents.get_key_value(agent).map(|(name, _)| *name)
    }
}

impl<'a> Shape<'a> {
    /// An element of the list.
    pub fn element(self) -> Option<Self> {
        match self {
            Self::List(element) => Some(*element),
            Self::Schema(schema) => {
                let is_list = schema.get("type").and_then(Value::as_str) == Some("array");
                let is_plain = schema.get("$ref").is_none() && schema.get("prefixItems").is_none();
                schema.get("items").filter(|_| is_list && is_plain).map(Self::Schema)
            }
            Self::Values(values) => {
                let lists: Option<Vec<_>> = values.iter().map(|value| value.as_array()).collect();
                Some(Self::Values(lists?.into_iter().flatten().collect()))
            }
            Self::Instance(_) | Self::Text | Self::Status => None,
        }
    }

    /// The texts that the value can be, if it can be no others.
    pub fn texts(&self) -> Option<Vec<String>> {
        match self {
            Self::Status => Some(STATUSES.iter().map(word).collect()),
            Self::Schema(schema) if schema.get("$ref").is_none() => {
                let values = schema.get("enum")?.as_array()?.iter();
                Some(values.filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => None,
        }
    }
}

/// The data of an agent, or of one of its instances.
fn data<'a>(facts: &'a AgentFacts<'a>) -> Option<Shape<'a>> {
    match &facts.data {
        Data::Schema(schema) => Some(Shape::Schema(schema.schema())),
        Data::Lines => Some(Shape::List(Shape::Text.into())),
        Data::Nothing | Data::Any => None,
    }
}
