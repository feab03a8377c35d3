//! The values of the YAML, before they are decoded.

use std::collections::HashSet;

use super::faults::FaultLog;
use super::place::Path;

/// A value of the YAML. It keeps duplicate keys, so that one fault does not hide others.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Null,
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
    Text {
        text: String,
        /// Whether part of it came from `${…}`. Then it may be a number, or a secret.
        expanded: bool,
    },
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value in a message "expected …, found …", without text from the environment.
    pub fn describe(&self) -> String {
        const MAX_SHOWN: usize = 40;
        match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => format!("the number {value}"),
            Self::UInt(value) => format!("the number {value}"),
            Self::Float(value) => format!("the number {value}"),
            Self::Text { expanded: true, .. } => "some other text from ${…}".to_owned(),
            Self::Text { text, .. } if text.chars().count() <= MAX_SHOWN => format!("{text:?}"),
            Self::Text { .. } => "a text".to_owned(),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a mapping".to_owned(),
        }
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Self::Map(entries) => {
                entries.iter().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Self::Map(entries) => {
                entries.iter_mut().find(|(name, _)| name == key).map(|(_, node)| node)
            }
            _ => None,
        }
    }

    /// Removes an entry of a mapping.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let Self::Map(entries) = self else { return None };
        let at = entries.iter().position(|(name, _)| name == key)?;
        Some(entries.remove(at).1)
    }

    /// Applies `<<: *other`: adds the keys of the other mapping that this one does not have.
    pub fn merge(&mut self, path: &Path<'_>, log: &FaultLog) {
        match self {
            Self::List(items) => {
                for (at, item) in items.iter_mut().enumerate() {
                    item.merge(&path.index(at), log);
                }
            }
            Self::Map(entries) => {
                for (name, node) in entries.iter_mut() {
                    node.merge(&path.key(name), log);
                }
                if let Some(at) = entries.iter().position(|(name, _)| name == "<<") {
                    let (_, from) = entries.remove(at);
                    merge_into(entries, from, &path.key("<<"), log);
                }
            }
            _ => {}
        }
    }
}

fn merge_into(entries: &mut Vec<(String, Node)>, from: Node, path: &Path<'_>, log: &FaultLog) {
    let sources = match from {
        Node::List(sources) => sources,
        source => vec![source],
    };
    let mut given: HashSet<String> = entries.iter().map(|(name, _)| name.clone()).collect();
    for source in sources {
        let Node::Map(source) = source else {
            let message = format!("expected a mapping to merge, found {}", source.describe());
            log.value(path, message, Some("write <<: *name".to_owned()));
            continue;
        };
        for (name, node) in source {
            if given.insert(name.clone()) {
                entries.push((name, node));
            }
        }
    }
}
