//! The arguments of a tool call: from what a model wrote to what the schema means.
//!
//! Models write whole numbers with a fraction, `null` for what they leave out, and values as JSON
//! inside a string. None of it is ambiguous where the schema allows nothing else.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::{Map, Value};

use super::meter;
use crate::text::digest::MAX_EXACT;
use crate::text::json;

/// Values inside each other, and references that lead to each other.
const MAX_DEPTH: usize = 64;
/// Schemas looked at for one call. Beyond, values stay as they are.
const MAX_STEPS: usize = 200_000;

/// The arguments with the properties' own names. `renamed` maps the shown names to them.
pub fn with_own_names(arguments: Value, renamed: &HashMap<String, String>) -> Value {
    match arguments {
        _ if renamed.is_empty() => arguments,
        Value::Array(items) => {
            items.into_iter().map(|item| with_own_names(item, renamed)).collect()
        }
        Value::Object(entries) => {
            let own = |(name, value): (String, Value)| {
                let value = with_own_names(value, renamed);
                (renamed.get(&name).cloned().unwrap_or(name), value)
            };
            Value::Object(entries.into_iter().map(own).collect())
        }
        plain => plain,
    }
}

/// The arguments as the schema means them, as far as it leaves no doubt.
pub fn corrected(schema: &Value, arguments: Value) -> Value {
    Correction { root: schema, left: MAX_STEPS.into() }.value(schema, arguments, MAX_DEPTH)
}

struct Correction<'a> {
    root: &'a Value,
    /// The schemas that may still be looked at.
    left: Cell<usize>,
}

/// The types that a schema allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Types(u8);

impl Types {
    const ALL: Self = Self(0b111_1111);
    const INTEGER: Self = Self(1);
    const NUMBER: Self = Self(1 << 1);
    const STRING: Self = Self(1 << 2);
    const NULL: Self = Self(1 << 3);

    fn named(name: &str) -> Self {
        match name {
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "null" => Self::NULL,
            "boolean" => Self(1 << 4),
            "array" => Self(1 << 5),
            "object" => Self(1 << 6),
            _ => Self::ALL,
        }
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::named("boolean"),
            Value::Number(number) if whole(number).is_some() => Self::INTEGER,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::named("array"),
            Value::Object(_) => Self::named("object"),
        }
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether a value of this type is allowed. An integer is a number.
    fn allows(self, value: &Value) -> bool {
        let of = Self::of(value);
        self.has(of) || (of == Self::INTEGER && self.has(Self::NUMBER))
    }
}

impl<'a> Correction<'a> {
    /// One level less, or nothing if a limit is reached.
    fn deeper(&self, depth: usize) -> Option<usize> {
        self.left.set(self.left.get().checked_sub(1)?);
        depth.checked_sub(1)
    }

    fn value(&self, schema: &'a Value, value: Value, depth: usize) -> Value {
        let Some(depth) = self.deeper(depth) else { return value };
        let types = self.types(schema, depth);
        match value {
            Value::String(text) if !types.has(Types::STRING) => {
                match json::value(text.as_bytes()) {
                    Ok(inner) if !inner.is_string() && types.allows(&inner) => {
                        self.value(schema, inner, depth)
                    }
                    _ => Value::String(text),
                }
            }
            Value::Number(number) if types.has(Types::INTEGER) && !types.has(Types::NUMBER) => {
                whole(&number).map_or(Value::Number(number), Value::from)
            }
            Value::Array(items) => {
                let item = |(at, item)| match self.item(schema, at, depth) {
                    Some(part) => self.value(part, item, depth),
                    None => item,
                };
                items.into_iter().enumerate().map(item).collect()
            }
            Value::Object(entries) => Value::Object(self.entries(schema, entries, depth)),
            plain => plain,
        }
    }

    fn entries(
        &self,
        schema: &'a Value,
        entries: Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut corrected = Map::new();
        for (name, value) in entries {
            let Some(part) = self.property(schema, &name, depth) else {
                corrected.insert(name, value);
                continue;
            };
            let is_left_out = value.is_null()
                && !self.types(part, depth).has(Types::NULL)
                && !self.requires(schema, &name, depth);
            if !is_left_out {
                corrected.insert(name, self.value(part, value, depth));
            }
        }
        corrected
    }

    /// The types that the schema allows, by its references and alternatives too.
    fn types(&self, schema: &'a Value, depth: usize) -> Types {
        let mut types = Types::ALL;
        let Some(depth) = self.deeper(depth) else { return types };
        let mut restrict = |to: Types| types = Types(types.0 & to.0);
        match schema.get("type") {
            Some(Value::String(name)) => restrict(Types::named(name)),
            Some(Value::Array(names)) => {
                let named = names.iter().filter_map(Value::as_str).map(Types::named);
                restrict(named.fold(Types(0), |all, one| Types(all.0 | one.0)));
            }
            _ => {
                let listed = list(schema, "enum").chain(schema.get("const")).map(Types::of);
                if let Some(listed) = listed.reduce(|all, one| Types(all.0 | one.0)) {
                    restrict(listed);
                }
            }
        }
        if schema.get("nullable") == Some(&Value::Bool(true)) {
            return Types(types.0 | Types::NULL.0);
        }
        for whole in self.wholes(schema) {
            restrict(self.types(whole, depth));
        }
        for key in ["anyOf", "oneOf"] {
            let alternatives = list(schema, key).map(|one| self.types(one, depth));
            if let Some(any) = alternatives.reduce(|all, one| Types(all.0 | one.0)) {
                restrict(any);
            }
        }
        types
    }

    /// The schema of a property.
    fn property(&self, schema: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
        let depth = self.deeper(depth)?;
        let own = schema.get("properties").and_then(|properties| properties.get(name));
        own.or_else(|| self.inside(schema).find_map(|part| self.property(part, name, depth)))
            .or_else(|| schema.get("additionalProperties").filter(|rest| rest.is_object()))
    }

    fn requires(&self, schema: &'a Value, name: &str, depth: usize) -> bool {
        let Some(depth) = self.deeper(depth) else { return true };
        list(schema, "required").any(|required| required == name)
            || self.wholes(schema).any(|whole| self.requires(whole, name, depth))
    }

    /// The schema of an item.
    fn item(&self, schema: &'a Value, at: usize, depth: usize) -> Option<&'a Value> {
        let depth = self.deeper(depth)?;
        let own = match (schema.get("prefixItems"), schema.get("items")) {
            (Some(Value::Array(places)), rest) => places.get(at).or(rest),
            (_, Some(Value::Array(places))) => places.get(at),
            (_, items) => items,
        };
        own.or_else(|| self.inside(schema).find_map(|part| self.item(part, at, depth)))
    }

    /// The schemas that hold for the same value.
    fn wholes(&self, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let target = reference.and_then(|reference| meter::target(self.root, reference));
        list(schema, "allOf").chain(target)
    }

    /// The schemas that hold for the same value, and those that may hold.
    fn inside(&self, schema: &'a Value) -> impl Iterator<Item = &'a Value> {
        self.wholes(schema).chain(list(schema, "anyOf")).chain(list(schema, "oneOf"))
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The number as an integer, if it is one.
fn whole(number: &serde_json::Number) -> Option<serde_json::Number> {
    if !number.is_f64() {
        return Some(number.clone());
    }
    let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < MAX_EXACT)?;
    #[expect(clippy::cast_possible_truncation, reason = "within the bounds of exact integers")]
    Some((float as i64).into())
}
