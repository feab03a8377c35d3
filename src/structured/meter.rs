//! The work of checking a value against a schema, counted without doing it.
//!
//! The validator applies every part of the schema to every value it concerns, by way of references
//! any number of times, and recurses as deep. This module follows the same ways up to a limit.

use serde_json::{Map, Value};

/// Applications of a part of the schema to a value, all together.
const MAX_STEPS: usize = 200_000;
/// Parts applied inside each other. This bounds the validator's stack.
const MAX_DEPTH: usize = 400;
/// Steps that the match of a pattern counts as, besides one for some bytes of the text.
const PATTERN_STEPS: usize = 20;
const BYTES_PER_STEP: usize = 8;

/// The check takes too long or goes too deep.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch;

/// An upper bound of the steps that it takes to check the value against this part of the schema.
pub fn steps(root: &Value, part: &Value, value: &Value) -> Result<usize, TooMuch> {
    let mut meter = Meter { root, steps: 0 };
    meter.apply(part, value, 0)?;
    Ok(meter.steps)
}

/// The part of the schema that a reference leads to.
pub fn target<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    root.pointer(reference.strip_prefix('#')?)
}

struct Meter<'s> {
    root: &'s Value,
    steps: usize,
}

impl<'s> Meter<'s> {
    fn spend(&mut self, steps: usize) -> Result<(), TooMuch> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MAX_STEPS { Err(TooMuch) } else { Ok(()) }
    }

    fn apply(&mut self, part: &'s Value, value: &Value, depth: usize) -> Result<(), TooMuch> {
        let depth = depth + 1;
        self.spend(1)?;
        if depth > MAX_DEPTH {
            return Err(TooMuch);
        }
        for (key, inner) in part.as_object().into_iter().flatten() {
            self.keyword(key, inner, value, depth)?;
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        key: &str,
        inner: &'s Value,
        value: &Value,
        depth: usize,
    ) -> Result<(), TooMuch> {
        match (key, inner) {
            ("$ref", Value::String(reference)) => match target(self.root, reference) {
                Some(target) => self.apply(target, value, depth),
                None => Err(TooMuch),
            },
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                parts.iter().try_for_each(|part| self.apply(part, value, depth))
            }
            ("not" | "if" | "then" | "else", part) => self.apply(part, value, depth),
            ("dependentSchemas" | "dependencies", Value::Object(parts)) => {
                parts.values().try_for_each(|part| self.apply(part, value, depth))
            }
            ("pattern", _) => {
                let length = value.as_str().map_or(0, str::len);
                self.spend(PATTERN_STEPS + length / BYTES_PER_STEP)
            }
            ("enum", Value::Array(values)) => self.spend(values.len() / 4),
            _ => match value {
                Value::Object(entries) => self.entries(key, inner, entries, depth),
                Value::Array(items) => self.items(key, inner, items, depth),
                _ => Ok(()),
            },
        }
    }

    fn entries(
        &mut self,
        key: &str,
        inner: &'s Value,
        entries: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), TooMuch> {
        for (name, value) in entries {
            match (key, inner) {
                ("properties", Value::Object(parts)) => {
                    if let Some(part) = parts.get(name) {
                        self.apply(part, value, depth)?;
                    }
                }
                ("patternProperties", Value::Object(parts)) => {
                    for part in parts.values() {
                        self.spend(PATTERN_STEPS)?;
                        self.apply(part, value, depth)?;
                    }
                }
                ("additionalProperties" | "unevaluatedProperties", part) => {
                    self.apply(part, value, depth)?;
                }
                // A name is a text: no part applies below it.
                ("propertyNames", part) => self.apply(part, &Value::Null, depth)?,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn items(
        &mut self,
        key: &str,
        inner: &'s Value,
        items: &[Value],
        depth: usize,
    ) -> Result<(), TooMuch> {
        match (key, inner) {
            ("items" | "prefixItems", Value::Array(parts)) => {
                parts.iter().zip(items).try_for_each(|(part, item)| self.apply(part, item, depth))
            }
            ("items" | "additionalItems" | "contains" | "unevaluatedItems", part) => {
                items.iter().try_for_each(|item| self.apply(part, item, depth))
            }
            ("uniqueItems", _) => self.spend(items.len()),
            _ => Ok(()),
        }
    }
}
