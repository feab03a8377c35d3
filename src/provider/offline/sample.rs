//! Arguments and answers made from a schema: its `examples`, `default`, `const` or `enum`, then the smallest
//! value it allows.
//!
//! The schema may come from anywhere: its depth, references and lengths are not trusted. Where
//! the bounds here are too small for it the argument check says so; nothing grows without limit.

use serde_json::{Map, Number, Value};

const DEPTH: usize = 16;
const VALUES: usize = 500;
const STRING_CHARS: u64 = 256;
const ARRAY_ITEMS: u64 = 16;

/// Arguments for a tool with these parameters; always an object.
pub fn of(parameters: &Value) -> Value {
    match value(parameters) {
        object @ Value::Object(_) => object,
        _ => Sampler { root: parameters, values: VALUES }.object(parameters, DEPTH),
    }
}

/// A value of any kind, as near to fitting the schema as can be had without a search.
pub fn value(schema: &Value) -> Value {
    Sampler { root: schema, values: VALUES }.sample(schema, DEPTH)
}

struct Sampler<'a> {
    root: &'a Value,
    /// How many more values may be made.
    values: usize,
}

impl<'a> Sampler<'a> {
    fn sample(&mut self, schema: &'a Value, depth: usize) -> Value {
        let (Some(depth), Some(values)) = (depth.checked_sub(1), self.values.checked_sub(1)) else {
            return Value::Null;
        };
        self.values = values;
        let first = |key: &str| schema.get(key)?.as_array()?.first();
        let given = first("examples")
            .or_else(|| schema.get("default"))
            .or_else(|| schema.get("const"))
            .or_else(|| first("enum"));
        if let Some(value) = given {
            return value.clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.sample(target, depth));
        }
        match type_of(schema) {
            Some("string") => string(schema),
            Some("integer") => integer(schema),
            Some("number") => number(schema),
            Some("boolean") => Value::Bool(false),
            Some("array") => self.array(schema, depth),
            Some("object") => self.object(schema, depth),
            Some(_) => Value::Null,
            None => {
                let branch = ["anyOf", "oneOf", "allOf"].into_iter().find_map(first);
                branch.map_or(Value::Null, |branch| self.sample(branch, depth))
            }
        }
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let prefix = schema.get("prefixItems").and_then(Value::as_array);
        let count = bound(schema, "minItems").min(ARRAY_ITEMS);
        let mut items = Vec::new();
        for at in 0..usize::try_from(count).unwrap_or_default() {
            let item = prefix.and_then(|prefix| prefix.get(at)).or_else(|| schema.get("items"));
            items.push(item.map_or(Value::Null, |item| self.sample(item, depth)));
        }
        Value::Array(items)
    }

    /// Required properties, and those whose default says what they are.
    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let is_required =
            |name: &str| required.is_some_and(|names| names.iter().any(|found| found == name));
        let mut object = Map::new();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            if self.values > 0 && (is_required(name) || property.get("default").is_some()) {
                object.insert(name.clone(), self.sample(property, depth));
            }
        }
        Value::Object(object)
    }
}

/// The type; of several the first that is not `null`; without one what the other keys tell.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(name),
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            let first = names.next()?;
            if first == "null" { names.next().or(Some(first)) } else { Some(first) }
        }
        _ => [
            ("properties", "object"),
            ("items", "array"),
            ("minItems", "array"),
            ("minLength", "string"),
            ("pattern", "string"),
            ("minimum", "number"),
            ("maximum", "number"),
        ]
        .into_iter()
        .find(|(key, _)| schema.get(key).is_some())
        .map(|(_, name)| name),
    }
}

fn bound(schema: &Value, key: &str) -> u64 {
    let value = schema.get(key);
    value.and_then(|value| value.as_u64().or_else(|| whole(value.as_f64()?))).unwrap_or_default()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn whole(number: f64) -> Option<u64> {
    (number >= 0.0).then_some(number as u64)
}

fn string(schema: &Value) -> Value {
    let length = bound(schema, "minLength").min(STRING_CHARS);
    Value::String("a".repeat(usize::try_from(length).unwrap_or_default()))
}

fn integer(schema: &Value) -> Value {
    let whole = |key: &str, round: fn(f64) -> f64| {
        let value = schema.get(key)?;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        value.as_i64().or_else(|| value.as_f64().map(|float| round(float) as i64))
    };
    let above = whole("exclusiveMinimum", f64::floor).map(|limit| limit.saturating_add(1));
    let below = whole("exclusiveMaximum", f64::ceil).map(|limit| limit.saturating_sub(1));
    let least = whole("minimum", f64::ceil).max(above);
    let most = whole("maximum", f64::floor).into_iter().chain(below).min();
    let step = whole("multipleOf", f64::ceil).filter(|step| *step > 0).unwrap_or(1);
    let up = |from: i64| from.checked_add((step - from.rem_euclid(step)) % step);
    let value = match (least, most) {
        (Some(least), _) => up(least).unwrap_or(least),
        (None, Some(most)) if most < 0 => most.saturating_sub(most.rem_euclid(step)),
        (None, _) => 0,
    };
    Value::from(value)
}

fn number(schema: &Value) -> Value {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let most = match (limit("maximum"), limit("exclusiveMaximum")) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let inclusive = limit("minimum");
    let exclusive =
        limit("exclusiveMinimum").filter(|above| inclusive.is_none_or(|least| *above >= least));
    let step = limit("multipleOf").filter(|step| *step > 0.0);
    let least = match (exclusive, most) {
        (Some(above), _) if step.is_some_and(|step| above % step == 0.0) => {
            above + step.unwrap_or_default()
        }
        (Some(above), None) => above + 1.0,
        (Some(above), Some(most)) => above.midpoint(most),
        (None, _) => inclusive.unwrap_or_else(|| match limit("exclusiveMaximum") {
            Some(below) if below <= 0.0 => below - 1.0,
            _ => most.unwrap_or_default().min(0.0),
        }),
    };
    let value = match step {
        Some(step) if inclusive.is_none() && exclusive.is_none() => (least / step).floor() * step,
        Some(step) => (least / step).ceil() * step,
        None => least,
    };
    // Where it is one, a whole number reads better than `1.0`.
    if value.fract() == 0.0 && value.abs() < 9e15 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it is a whole number within the range"
        )]
        return Value::from(value as i64);
    }
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn values() {
        for (schema, expected) in [
            (json!({"examples": ["e"], "default": "d", "enum": ["x"]}), json!("e")),
            (json!({"default": "d", "enum": ["x", "d"]}), json!("d")),
            (json!({"type": "string", "default": null}), json!(null)),
            (json!({"const": 7}), json!(7)),
            (json!({"enum": ["x", "y"]}), json!("x")),
            (json!({"examples": []}), json!(null)),
            (json!({"type": "string"}), json!("")),
            (json!({"type": "string", "minLength": 3}), json!("aaa")),
            (json!({"type": "boolean"}), json!(false)),
            (json!({"type": "null"}), json!(null)),
            (json!({"type": ["null", "integer"]}), json!(0)),
            (json!({"type": ["string", "null"], "nullable": true}), json!("")),
            (json!({"type": "integer"}), json!(0)),
            (json!({"type": "integer", "minimum": 1, "maximum": 50}), json!(1)),
            (json!({"type": "integer", "maximum": -3}), json!(-3)),
            (json!({"type": "integer", "exclusiveMinimum": 4}), json!(5)),
            (json!({"type": "integer", "minimum": 1, "exclusiveMinimum": 4}), json!(5)),
            (json!({"type": "integer", "minimum": 1.5}), json!(2)),
            (json!({"type": "integer", "minimum": 1, "multipleOf": 5}), json!(5)),
            (json!({"type": "integer", "maximum": -3, "multipleOf": 5}), json!(-5)),
            (json!({"type": "integer", "exclusiveMinimum": i64::MAX}), json!(i64::MAX)),
            (json!({"type": "number"}), json!(0)),
            (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
            (json!({"type": "number", "exclusiveMinimum": 0}), json!(1)),
            (json!({"type": "number", "exclusiveMinimum": 0, "maximum": 1}), json!(0.5)),
            (json!({"type": "number", "minimum": 1, "multipleOf": 0.75}), json!(1.5)),
            (json!({"type": "number", "exclusiveMaximum": 0}), json!(-1)),
            (json!({"type": "array"}), json!([])),
            (json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}), json!([0, 0])),
            (
                json!({"type": "array", "minItems": 2, "prefixItems": [{"const": 1}], "items": {"const": 2}}),
                json!([1, 2]),
            ),
            (json!({"properties": {"a": {"default": 1}, "b": {}}}), json!({"a": 1})),
            (json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}), json!(0)),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"const": 1}}}), json!(1)),
            (json!({"$ref": "https://example.org/a"}), json!(null)),
            (json!(true), json!(null)),
        ] {
            assert_eq!(value(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn arguments_are_an_object() {
        for (parameters, expected) in [
            (json!({}), json!({})),
            (json!({"type": "object"}), json!({})),
            (
                json!({"type": "object", "required": ["a"], "properties": {
                    "a": {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer", "minimum": 1}}},
                    "c": {"type": "string", "default": "/"},
                    "d": {"type": "string"}}}),
                json!({"a": {"b": 1}, "c": "/"}),
            ),
        ] {
            assert_eq!(of(&parameters), expected);
        }
    }

    #[test]
    fn a_hostile_schema_is_bounded() {
        assert_eq!(
            value(&json!({"type": "string", "minLength": 1e18})).as_str().map(str::len),
            Some(256)
        );
        let mut loops = json!({"type": "array", "minItems": 1e9, "items": {"$ref": "#"}});
        assert!(value(&loops).to_string().len() < 100_000);
        for _ in 0..100 {
            loops = json!({"type": "object", "required": ["a"], "properties": {"a": loops}});
        }
        assert!(of(&loops).to_string().len() < 1000);
    }

    proptest! {
        #[test]
        fn numbers_fit_their_schema(
            kind in prop_oneof![Just("integer"), Just("number")],
            minimum in proptest::option::of(-20i64..20),
            exclusive in proptest::option::of(-20i64..20),
            room in proptest::option::of(10i64..20),
            step in proptest::option::of(1i64..5),
        ) {
            let least = minimum.max(exclusive);
            let mut schema = json!({"type": kind});
            for (key, value) in [
                ("minimum", minimum),
                ("exclusiveMinimum", exclusive),
                ("maximum", room.map(|room| least.unwrap_or(0) + room)),
                ("multipleOf", step),
            ] {
                if let Some(value) = value {
                    schema[key] = value.into();
                }
            }
            let found = value(&schema);
            let check = jsonschema::validator_for(&schema);
            prop_assert!(check.is_ok_and(|check| check.is_valid(&found)), "{} {}", schema, found);
        }
    }
}
