//! Faults that make a schema unusable, found before anything runs.

use jsonschema::ValidationError;
use serde_json::{Map, Value};

use super::meter;
use crate::text::{quoted, truncate};

/// Characters of a message. The validator's messages repeat values of any length.
pub const MAX_MESSAGE: usize = 300;
/// Bytes of the schema as JSON. Every call of the model contains it.
const MAX_SIZE: usize = 64 << 10;
const MAX_DEPTH: usize = 32;
const MAX_PATTERNS: usize = 32;
/// Steps of the search for endless references. The check of a value is bounded separately.
const MAX_STEPS: usize = 1_000_000;
/// More faults than these are one mistake repeated.
const MAX_FAULTS: usize = 20;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords whose value is a schema, or a list of them.
pub const PARTS: [&str; 15] = [
    "not",
    "if",
    "then",
    "else",
    "allOf",
    "anyOf",
    "oneOf",
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "unevaluatedItems",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
];
/// Keywords whose value is a mapping to schemas.
pub const NAMED_PARTS: [&str; 6] =
    ["properties", "patternProperties", "dependentSchemas", "dependencies", "$defs", "definitions"];

/// A fault of a schema, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFault {
    /// The keys on the way from the schema's root.
    pub place: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl SchemaFault {
    fn new(place: &[String], message: impl Into<String>, hint: Option<&str>) -> Self {
        let hint = hint.map(str::to_owned);
        Self { place: place.to_vec(), message: message.into(), hint }
    }
}

impl From<&ValidationError<'_>> for SchemaFault {
    fn from(error: &ValidationError<'_>) -> Self {
        let pointer = error.instance_path().to_string();
        let keys = pointer.split('/').skip(1);
        let place = keys.map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        let place: Vec<String> = place;
        if place.last().is_some_and(|key| key == "type")
            && let Some(name) = error.instance().as_str()
        {
            let message = format!("{} is not a type of JSON Schema", quoted(name));
            return Self { place, message, hint: Some(format!("known: {}", TYPES.join(", "))) };
        }
        let message = format!(
            "this is not a valid JSON Schema: {}",
            truncate(error.to_string(), MAX_MESSAGE)
        );
        Self { place, message, hint: None }
    }
}

/// Checks the whole schema.
///
/// # Errors
/// All faults that the validator would not find, or find too late.
pub fn check(schema: &Value) -> Result<(), Vec<SchemaFault>> {
    let fault = |message: String, hint| Err(vec![SchemaFault::new(&[], message, hint)]);
    if !schema.is_object() {
        let hint = "such as {type: object, properties: {severity: {enum: [low, high]}}}";
        return fault("expected a JSON Schema".to_owned(), Some(hint));
    }
    if is_deeper(schema, MAX_DEPTH) {
        return fault(format!("the schema is nested more than {MAX_DEPTH} levels deep"), None);
    }
    if schema.to_string().len() > MAX_SIZE {
        let hint = "it is part of every call of the model; remove what is not needed";
        return fault(format!("the schema is larger than {} KiB", MAX_SIZE >> 10), Some(hint));
    }
    let mut search =
        Search { root: schema, place: Vec::new(), patterns: 0, steps: 0, found: Vec::new() };
    search.walk(schema, Search::keywords);
    if search.found.is_empty() {
        search.walk(schema, Search::ends);
    }
    if search.found.is_empty() { Ok(()) } else { Err(search.found) }
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let Some(levels) = levels.checked_sub(1) else {
        return value.is_object() || value.is_array();
    };
    match value {
        Value::Object(entries) => entries.values().any(|value| is_deeper(value, levels)),
        Value::Array(items) => items.iter().any(|value| is_deeper(value, levels)),
        _ => false,
    }
}

struct Search<'s> {
    root: &'s Value,
    place: Vec<String>,
    patterns: usize,
    steps: usize,
    found: Vec<SchemaFault>,
}

impl Search<'_> {
    fn fault(&mut self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        if self.found.len() < MAX_FAULTS {
            let place = [self.place.as_slice(), &[key.to_owned()]].concat();
            self.found.push(SchemaFault::new(&place, message, hint));
        }
    }

    /// Calls `look` with the part and with all parts inside it.
    fn walk(&mut self, part: &Value, look: fn(&mut Self, &Value)) {
        look(self, part);
        for (key, inner) in part.as_object().into_iter().flatten() {
            if PARTS.contains(&key.as_str()) {
                match inner {
                    Value::Array(parts) => {
                        for (at, part) in parts.iter().enumerate() {
                            self.below(&[key, &at.to_string()], part, look);
                        }
                    }
                    part => self.below(&[key], part, look),
                }
            } else if NAMED_PARTS.contains(&key.as_str()) {
                for (name, part) in inner.as_object().into_iter().flatten() {
                    self.below(&[key, name], part, look);
                }
            }
        }
    }

    fn below(&mut self, keys: &[&str], part: &Value, look: fn(&mut Self, &Value)) {
        let before = self.place.len();
        self.place.extend(keys.iter().map(|&key| key.to_owned()));
        self.walk(part, look);
        self.place.truncate(before);
    }

    fn keywords(&mut self, part: &Value) {
        const LOCAL: &str = "put the part under $defs and write $ref: '#/$defs/name'";
        for (key, value) in part.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("$ref", Value::String(reference)) if !reference.starts_with('#') => {
                    let message = "a schema can refer only to its own parts: nothing is fetched";
                    self.fault(key, message, Some(LOCAL));
                }
                ("$ref", Value::String(reference))
                    if meter::target(self.root, reference).is_none() =>
                {
                    let message = format!(
                        "{} is not in this schema",
                        truncate(reference.clone(), MAX_MESSAGE)
                    );
                    self.fault(key, message, Some(LOCAL));
                }
                ("$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef", _) => {
                    self.fault(key, format!("{key} is not supported here"), Some(LOCAL));
                }
                ("$id", _) if !self.place.is_empty() => {
                    self.fault(key, "only the whole schema can have an $id", Some(LOCAL));
                }
                ("pattern", _) => self.patterns(1, key),
                ("patternProperties", Value::Object(patterns)) => {
                    self.patterns(patterns.len(), key);
                }
                _ => {}
            }
        }
    }

    fn patterns(&mut self, more: usize, key: &str) {
        let before = self.patterns;
        self.patterns += more;
        if before <= MAX_PATTERNS && self.patterns > MAX_PATTERNS {
            self.fault(key, format!("the schema has more than {MAX_PATTERNS} patterns"), None);
        }
    }

    /// Checks that the part can be applied to a single value in bounded time: it may refer to
    /// itself, or to parts that each refer to the next one twice.
    fn ends(&mut self, part: &Value) {
        if self.steps >= MAX_STEPS || !part.as_object().is_some_and(has_references) {
            return;
        }
        match meter::steps(self.root, part, &Value::Null) {
            Ok(steps) => self.steps += steps,
            Err(meter::TooMuch) => {
                // The parts that lead to this one are not reported as well.
                self.steps = MAX_STEPS;
                let message = "this refers to itself, or to too many parts for a single value";
                let hint = "a part may refer to itself only for the values inside it";
                self.fault("$ref", message, Some(hint));
            }
        }
    }
}

fn has_references(keywords: &Map<String, Value>) -> bool {
    ["$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"]
        .iter()
        .any(|key| keywords.contains_key(*key))
}
