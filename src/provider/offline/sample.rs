//! Arguments and answers made from a JSON Schema: its `examples`, `default`, `const` or `enum`,
//! otherwise the least value of its type.
//!
//! Schemas may come from MCP servers, so depth, references and lengths are bounded. No bounds or
//! patterns are solved: a schema that is stricter needs an example, and the check of arguments and
//! answers says so.

use serde_json::{Map, Value};

const MAX_DEPTH: usize = 16;
const MAX_VALUES: usize = 500;
const MAX_STRING: u64 = 256;
const MAX_ITEMS: u64 = 16;

/// Arguments for a tool with these parameters: always an object.
pub fn arguments(parameters: &Value) -> Value {
    match value(parameters) {
        object @ Value::Object(_) => object,
        _ => Sampler { root: parameters, values: MAX_VALUES }.object(parameters, MAX_DEPTH),
    }
}

/// A value of any type.
pub fn value(schema: &Value) -> Value {
    Sampler { root: schema, values: MAX_VALUES }.sample(schema, MAX_DEPTH)
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
        let least =
            |key: &str, max: u64| schema.get(key).and_then(Value::as_u64).unwrap_or(0).min(max);
        match type_of(schema) {
            Some("string") => "a".repeat(least("minLength", MAX_STRING) as usize).into(),
            Some("integer" | "number") => {
                schema.get("minimum").filter(|value| value.is_number()).cloned().unwrap_or(0.into())
            }
            Some("boolean") => false.into(),
            Some("array") => {
                let items = schema.get("items");
                let item = |_| items.map_or(Value::Null, |items| self.sample(items, depth));
                (0..least("minItems", MAX_ITEMS)).map(item).collect()
            }
            Some("object") => self.object(schema, depth),
            Some(_) => Value::Null,
            None => {
                let branch = ["anyOf", "oneOf", "allOf"].into_iter().find_map(first);
                branch.map_or(Value::Null, |branch| self.sample(branch, depth))
            }
        }
    }

    /// The required properties, and those with a default.
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

/// The type, or the first of several that is not `null`; without `type`, the one that other
/// keywords imply.
fn type_of(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => Some(name),
        Some(Value::Array(names)) => {
            let names = || names.iter().filter_map(Value::as_str);
            names().find(|name| *name != "null").or(names().next())
        }
        _ => [("properties", "object"), ("items", "array"), ("minimum", "number")]
            .into_iter()
            .find(|(key, _)| schema.get(key).is_some())
            .map(|(_, name)| name),
    }
}

#[cfg(test)]
mod tests {
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
            (json!({"type": "number"}), json!(0)),
            (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
            (json!({"type": "array"}), json!([])),
            (json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}), json!([0, 0])),
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
    fn examples_and_defaults_are_used_whatever_else_the_schema_demands() {
        let schema = json!({"type": "object", "required": ["id", "step"], "properties": {
            "id": {"type": "string", "pattern": "^[A-Z]{4}$", "examples": ["ABCD"]},
            "step": {"type": "integer", "multipleOf": 7, "exclusiveMinimum": 7, "default": 14}}});
        let found = arguments(&schema);
        let checker = jsonschema::validator_for(&schema).unwrap_or_else(|why| panic!("{why}"));
        assert!(checker.is_valid(&found), "{found}");
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
            assert_eq!(arguments(&parameters), expected);
        }
    }

    #[test]
    fn a_hostile_schema_is_bounded() {
        let long = json!({"type": "string", "minLength": u64::MAX});
        assert_eq!(value(&long).as_str().map(str::len), Some(256));
        let mut loops = json!({"type": "array", "minItems": u64::MAX, "items": {"$ref": "#"}});
        assert!(value(&loops).to_string().len() < 100_000);
        for _ in 0..100 {
            loops = json!({"type": "object", "required": ["a"], "properties": {"a": loops}});
        }
        assert!(arguments(&loops).to_string().len() < 1000);
    }
}
