//! Decodes values into the structs of a crew's file and logs every fault on the way.
//!
//! The serde `Deserializer` never fails. It logs an unknown key or a wrong type with its path, uses
//! a harmless value in its place and continues. Field names, types and variants come from the
//! structs, and so do the hints "did you mean …".

use std::collections::HashSet;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::expected::Expected;
use super::faults::FaultLog;
use super::node::Node;
use super::place::Path;
use super::slips;
use crate::secret;
use crate::text::{either, quoted};

/// The name of a field whose struct is decoded from the same mapping as the struct around it.
pub const FLATTENED: &str = "<flattened>";

pub struct Decoder<'a> {
    node: &'a Node,
    path: &'a Path<'a>,
    log: &'a FaultLog,
    /// The kind of text, from the name of its newtype.
    text: Expected,
    /// The fields of the struct around a flattened one.
    outer_fields: &'static [&'static str],
}

impl<'a> Decoder<'a> {
    pub fn new(node: &'a Node, path: &'a Path<'a>, log: &'a FaultLog) -> Self {
        Self { node, path, log, text: Expected::Text, outer_fields: &[] }
    }

    fn wrong(&self, expected: Expected) {
        let hint = expected.hint(self.node).map(str::to_owned);
        let message = format!("expected {expected}, found {}", self.node.describe());
        self.log.broken(self.path, message, hint);
    }

    /// A number that came from `${…}`.
    fn expanded_number<T: std::str::FromStr>(&self) -> Option<T> {
        match self.node {
            Node::Text { text, expanded: true } => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// An error that does not occur: the decoder logs faults and continues.
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
                self.wrong(Expected::JsonNumber);
                visitor.visit_f64(0.0)
            }
            Node::Text { text, .. } => visitor.visit_str(text),
            Node::List(_) => self.deserialize_seq(visitor),
            Node::Map(_) => self.deserialize_map(visitor),
        }
    }

    /// A key without a value differs from a missing key: the inner type reports what it expects.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match (self.node, self.text) {
            (Node::Null, Expected::EnvValue) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        let named = Self { text: Expected::text_of(name), ..self };
        match (named.text, named.node) {
            (Expected::Models | Expected::Items, Node::List(_)) => named.deserialize_seq(visitor),
            (Expected::Needs | Expected::Env, Node::Map(_)) => named.deserialize_map(visitor),
            (Expected::Needs | Expected::Env, _) => named.deserialize_seq(visitor),
            (Expected::Condition | Expected::Confirm, Node::Bool(_)) => {
                named.deserialize_bool(visitor)
            }
            (Expected::Models | Expected::Condition | Expected::Confirm | Expected::Items, _) => {
                named.deserialize_string(visitor)
            }
            _ => visitor.visit_newtype_struct(named),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        match (self.node, self.text) {
            (Node::Text { text, .. }, _) => visitor.visit_str(text),
            (Node::Int(value), Expected::Size) => visitor.visit_string(value.to_string()),
            (Node::UInt(value), Expected::Size) => visitor.visit_string(value.to_string()),
            _ => {
                self.wrong(self.text);
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
                self.wrong(Expected::Boolean);
                visitor.visit_bool(false)
            }
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let value = match self.node {
            Node::Int(value) => u64::try_from(*value).ok(),
            Node::UInt(value) => Some(*value),
            _ => self.expanded_number(),
        };
        match value {
            Some(value) => visitor.visit_u64(value),
            None => {
                self.wrong(Expected::WholeNumber);
                visitor.visit_u64(1)
            }
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let value = match self.node {
            Node::Int(value) => Some(*value as f64),
            Node::UInt(value) => Some(*value as f64),
            Node::Float(value) => Some(*value),
            _ => self.expanded_number(),
        };
        match value {
            Some(value) => visitor.visit_f64(value),
            None => {
                self.wrong(Expected::Number);
                visitor.visit_f64(0.0)
            }
        }
    }

    /// A key without a value is an empty list: often all its items are commented out.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let items: &[Node] = match self.node {
            Node::List(items) => items,
            Node::Null => &[],
            _ => {
                self.wrong(match self.text {
                    Expected::Needs | Expected::Env => self.text,
                    _ => Expected::List,
                });
                &[]
            }
        };
        visitor.visit_seq(Items { items, at: 0, path: self.path, log: self.log })
    }

    /// A key without a value is an empty mapping.
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        // A flattened mapping has the keys that are not fields of the struct around it.
        let is_own = |key: &str| !self.outer_fields.contains(&key) || key == FLATTENED;
        let entries = self.entries().into_iter().filter(|(key, _)| is_own(key)).collect();
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
        let message = format!("expected {}, found {}", either(variants), self.node.describe());
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
    /// The mapping's entries, each key once. Duplicates have been logged already.
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
                self.wrong(Expected::Mapping);
                Vec::new()
            }
        }
    }

    fn unknown(&self, key: &str, known: &[&str]) {
        let path = self.path.key(key);
        // `max_tokens` is a number.
        if secret::is_telling(key) && !key.starts_with("max_") {
            self.log.hide(&path);
        }
        let known: Vec<&str> = known.iter().copied().filter(|name| *name != FLATTENED).collect();
        let hint = slips::hint(key, &known)
            .or_else(|| self.log.nearest(key, known.iter().copied()))
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
            None => Err(de::Error::custom("a value was requested before its key")),
        }
    }
}

#[cfg(test)]
mod tests;
