//! From values to the structs of a crew's file, noting every fault on the way.
//!
//! A serde `Deserializer` that never fails: an unknown key or a wrong type is noted with its path,
//! something harmless stands in for the value, and decoding goes on. The structs say all there is
//! to know (field names, types, variants), so "did you mean" comes with them.

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::faults::FaultLog;
use super::node::Node;
use super::place::Path;
use crate::text::quoted;

/// The one size type of the file, which may also be written as a bare number.
pub const SIZE: &str = "a size such as 64KiB";
/// The one type of the file that is a text or a list of texts.
pub const MODELS: &str = "a model such as openai/gpt-4o-mini, or a list of them";
/// A type of the file with two forms: a list of texts, or a mapping.
pub const NEEDS: &str = "a list of agents, or a mapping from agent to succeeded or done";
/// As [`NEEDS`].
pub const ENVIRONMENT: &str = "a list of variables, or a mapping from variable to value";
/// A type of the file with two forms: a text, or a boolean.
pub const CONDITION: &str = "an expression, or true or false";
/// A type of the file with two forms: a list of any values, or a text.
pub const ITEMS: &str = "a list, or an expression that yields one";
/// The name of a field whose struct is decoded from the same mapping as the struct around it.
pub const FLATTENED: &str = "<flattened>";

pub struct Decoder<'a> {
    node: &'a Node,
    path: &'a Path<'a>,
    log: &'a FaultLog,
    /// What a text stands for, from the name of its newtype.
    expected: Option<&'static str>,
    /// The fields of the struct around a flattened one.
    outer_fields: &'static [&'static str],
}

impl<'a> Decoder<'a> {
    pub fn new(node: &'a Node, path: &'a Path<'a>, log: &'a FaultLog) -> Self {
        Self { node, path, log, expected: None, outer_fields: &[] }
    }

    fn wrong(&self, expected: &str) {
        let hint = match (self.node, self.expected) {
            (Node::Int(_) | Node::UInt(_), Some("a duration such as 30s")) => {
                Some("give the number a unit: ms, s, m or h".to_owned())
            }
            (Node::Int(_) | Node::UInt(_) | Node::Float(_) | Node::Bool(_), None)
                if expected == "a text" =>
            {
                Some("put it in quotes".to_owned())
            }
            (Node::Text { text, .. }, None)
                if expected.contains("number") && text.parse::<f64>().is_ok() =>
            {
                Some("write it without quotes".to_owned())
            }
            _ => None,
        };
        let message = format!("expected {expected}, found {}", self.node.describe());
        self.log.broken(self.path, message, hint);
    }

    /// A number, also where it came out of `${…}`.
    fn number<T: std::str::FromStr>(&self) -> Option<T> {
        match self.node {
            Node::Text { text, expanded: true } => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// Never seen: the decoder notes what is wrong and goes on.
#[derive(Debug)]
pub struct Never(String);

impl fmt::Display for Never {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Never {}

impl de::Error for Never {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

impl<'de> Deserializer<'de> for Decoder<'_> {
    type Error = Never;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match self.node {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Int(value) => visitor.visit_i64(*value),
            Node::UInt(value) => visitor.visit_u64(*value),
            Node::Float(value) if value.is_finite() => visitor.visit_f64(*value),
            Node::Float(_) => {
                self.wrong("a number that can be written in JSON");
                visitor.visit_f64(0.0)
            }
            Node::Text { text, .. } => visitor.visit_str(text),
            Node::List(_) => self.deserialize_seq(visitor),
            Node::Map(_) => self.deserialize_map(visitor),
        }
    }

    /// A key without a value is not the same as no key: what the value should have been is known
    /// to the inner type only, so that is asked.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        // Within a newtype the option is a value that may be empty.
        match (self.node, self.expected) {
            (Node::Null, Some(_)) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        let named = Self { expected: Some(name), ..self };
        match (name, named.node) {
            (MODELS | ITEMS, Node::List(_)) => named.deserialize_seq(visitor),
            (NEEDS | ENVIRONMENT, Node::Map(_)) => named.deserialize_map(visitor),
            (NEEDS | ENVIRONMENT, _) => named.deserialize_seq(visitor),
            (CONDITION, Node::Bool(_)) => named.deserialize_bool(visitor),
            (MODELS | CONDITION | ITEMS, _) => named.deserialize_string(visitor),
            _ => visitor.visit_newtype_struct(named),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match self.node {
            Node::Text { text, .. } => visitor.visit_str(text),
            Node::Int(value) if self.expected == Some(SIZE) => {
                visitor.visit_string(value.to_string())
            }
            Node::UInt(value) if self.expected == Some(SIZE) => {
                visitor.visit_string(value.to_string())
            }
            _ => {
                self.wrong(self.expected.unwrap_or("a text"));
                visitor.visit_str("")
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let value = match self.node {
            Node::Bool(value) => Some(*value),
            Node::Text { text, expanded: true } => text.trim().parse().ok(),
            _ => None,
        };
        match value {
            Some(value) => visitor.visit_bool(value),
            None => {
                self.wrong("true or false");
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let value = match self.node {
            Node::Int(value) => u64::try_from(*value).ok(),
            Node::UInt(value) => Some(*value),
            _ => self.number(),
        };
        match value {
            Some(value) => visitor.visit_u64(value),
            None => {
                self.wrong("a whole number, not negative");
                visitor.visit_u64(1)
            }
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let value = match self.node {
            Node::Int(value) => Some(*value as f64),
            Node::UInt(value) => Some(*value as f64),
            Node::Float(value) => Some(*value),
            _ => self.number(),
        };
        match value {
            Some(value) => visitor.visit_f64(value),
            None => {
                self.wrong("a number");
                visitor.visit_f64(0.0)
            }
        }
    }

    /// Nothing after the key is an empty list: often all its items are commented out.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let items: &[Node] = match self.node {
            Node::List(items) => items,
            Node::Null => &[],
            _ => {
                self.wrong(self.expected.unwrap_or("a list"));
                &[]
            }
        };
        visitor.visit_seq(Items { items, at: 0, path: self.path, log: self.log })
    }

    /// Nothing after the key is an empty mapping.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let entries = self.entries();
        visitor.visit_map(Entries::new(entries, self.path, self.log))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        let is_own = |key: &str| fields.contains(&key) && key != FLATTENED;
        let (own, others): (Vec<_>, Vec<_>) =
            self.entries().into_iter().partition(|(key, _)| is_own(key));
        let mut entries = Entries::new(own, self.path, self.log);
        if fields.contains(&FLATTENED) {
            // The flattened struct reports the unknown keys of both.
            entries.flattened = Some(Self { outer_fields: fields, ..self });
        } else {
            let known = [self.outer_fields, fields].concat();
            for (key, _) in others {
                if key == FLATTENED || !known.contains(&key.as_str()) {
                    self.unknown(key, &known);
                }
            }
        }
        visitor.visit_map(entries)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        let given = match self.node {
            Node::Text { text, .. } => text.as_str(),
            _ => "",
        };
        if let Some(known) = variants.iter().find(|variant| **variant == given) {
            return visitor.visit_enum(StrDeserializer::new(known));
        }
        let message = format!("expected {}, found {}", variants.join(" or "), self.node.describe());
        let hint = self.log.nearest(given, variants.iter().copied());
        self.log.broken(self.path, message, hint);
        visitor.visit_enum(StrDeserializer::new(variants.first().copied().unwrap_or_default()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char bytes byte_buf
        unit unit_struct tuple tuple_struct identifier
    }
}

impl<'a> Decoder<'a> {
    /// The mapping's entries, each key once: that it is given twice has been noted already.
    fn entries(&self) -> Vec<(&'a String, &'a Node)> {
        match self.node {
            Node::Map(entries) => {
                let mut seen = HashSet::new();
                entries
                    .iter()
                    .filter(|(key, _)| seen.insert(key.as_str()))
                    .map(|(key, node)| (key, node))
                    .collect()
            }
            Node::Null => Vec::new(),
            _ => {
                self.wrong("a mapping");
                Vec::new()
            }
        }
    }

    fn unknown(&self, key: &str, known: &[&str]) {
        let path = self.path.key(key);
        // Not a key of ours, but perhaps one to a door.
        self.log.hide(&path);
        let known: Vec<&str> = known.iter().copied().filter(|name| *name != FLATTENED).collect();
        let hint = self
            .log
            .nearest(key, known.iter().copied())
            .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
        self.log.key(&path, format!("unknown key {}", quoted(key)), Some(hint));
    }
}

struct Items<'a> {
    items: &'a [Node],
    at: usize,
    path: &'a Path<'a>,
    log: &'a FaultLog,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Never;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Never> {
        let Some(node) = self.items.get(self.at) else { return Ok(None) };
        let path = self.path.index(self.at);
        self.at += 1;
        seed.deserialize(Decoder::new(node, &path, self.log)).map(Some)
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a String, &'a Node)>,
    value: Option<(&'a String, &'a Node)>,
    /// The value of [`FLATTENED`], which comes after all others.
    flattened: Option<Decoder<'a>>,
    path: &'a Path<'a>,
    log: &'a FaultLog,
}

impl<'a> Entries<'a> {
    fn new(entries: Vec<(&'a String, &'a Node)>, path: &'a Path<'a>, log: &'a FaultLog) -> Self {
        Self { entries: entries.into_iter(), value: None, flattened: None, path, log }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Never> {
        self.value = self.entries.next();
        let key = match self.value {
            Some((key, _)) => key.as_str(),
            None if self.flattened.is_some() => FLATTENED,
            None => return Ok(None),
        };
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Never> {
        if let Some((key, node)) = self.value.take() {
            let path = self.path.key(key);
            return seed.deserialize(Decoder::new(node, &path, self.log));
        }
        match self.flattened.take() {
            Some(decoder) => seed.deserialize(decoder),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

#[cfg(test)]
mod tests;
