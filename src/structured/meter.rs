//! How much work it is to check a value against a schema, counted without doing it.
//!
//! The checker looks at every value with every part of the schema that applies there, by way of
//! references again and again, and recurses as deep. Here the same ways are walked with a limit.

use serde_json::{Map, Value};

/// Parts of the schema applied to values, all together.
const MOST_STEPS: usize = 200_000;
/// Parts of the schema inside each other, as they apply: what bounds the checker's stack.
const DEEPEST: usize = 400;
/// What matching a pattern counts.
const PATTERN: usize = 20;

/// It takes more than can be waited for.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMuch;

/// At most as many steps are needed to check the value against this part of the schema.
pub fn steps(root: &Value, part: &Value, value: &Value) -> Result<usize, TooMuch> {
    let mut meter = Meter { root, steps: 0 };
    meter.apply(part, value, 0)?;
    Ok(meter.steps)
}

/// What a reference within the schema stands for.
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
        if self.steps > MOST_STEPS { Err(TooMuch) } else { Ok(()) }
    }

    fn apply(&mut self, part: &'s Value, value: &Value, depth: usize) -> Result<(), TooMuch> {
        let depth = depth + 1;
        self.spend(1)?;
        if depth > DEEPEST {
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
            ("pattern", _) => self.spend(PATTERN),
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
                        self.spend(PATTERN)?;
                        self.apply(part, value, depth)?;
                    }
                }
                ("additionalProperties" | "unevaluatedProperties", part) => {
                    self.apply(part, value, depth)?;
                }
                // A name is a text: nothing of it applies further down.
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
