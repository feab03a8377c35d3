//! Which schemas the output formats of APIs accept.
//!
//! A format is asked for in addition to the messages. Most servers without one ignore it; others
//! reject the call: see [`Quirks`](super::quirks::Quirks).

use serde_json::Value;

/// The depth of schemas that OpenAI's strict mode accepts.
const MAX_STRICT_LEVELS: usize = 5;

/// Whether the answer is an object. Some APIs accept no other type.
pub fn is_object(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// Whether the schema contains references. Not every API knows them, and a part that refers to
/// itself would have no end if it were inlined.
pub fn has_references(schema: &Value) -> bool {
    match schema {
        Value::Object(entries) => {
            entries.contains_key("$ref") || entries.values().any(has_references)
        }
        Value::Array(items) => items.iter().any(has_references),
        _ => false,
    }
}

/// Whether modes that constrain the model's output accept the schema as it is: every property is
/// required, no others are allowed, everything has a type, and only keywords occur that every model
/// with such a mode knows.
pub fn is_strict(schema: &Value) -> bool {
    is_strict_within(schema, MAX_STRICT_LEVELS)
}

fn is_strict_within(schema: &Value, levels: usize) -> bool {
    const KEYWORDS: [&str; 11] = [
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "enum",
        "const",
        "anyOf",
        "$ref",
        "title",
        "description",
    ];
    let (Some(keywords), Some(levels)) = (schema.as_object(), levels.checked_sub(1)) else {
        return false;
    };
    let is_strict = |part: &Value| is_strict_within(part, levels);
    let known = |(key, value): (&String, &Value)| match (key.as_str(), value) {
        ("$defs" | "properties", Value::Object(parts)) => parts.values().all(is_strict),
        ("anyOf", Value::Array(parts)) => parts.iter().all(is_strict),
        ("items", part) => is_strict(part),
        (key, _) => KEYWORDS.contains(&key),
    };
    let has_type = ["type", "anyOf", "$ref"].iter().any(|key| keywords.contains_key(*key));
    if !has_type || !keywords.iter().all(known) {
        return false;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if !is_object(schema) {
        return properties.is_none();
    }
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &String| required.is_some_and(|names| names.iter().any(|n| n == name));
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && properties.is_some_and(|properties| properties.keys().all(is_required))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strict_mode_is_requested_only_for_schemas_that_it_accepts() {
        let object = |more: Value| {
            let mut schema = json!({"type": "object", "additionalProperties": false,
                "required": ["a"], "properties": {"a": {"type": ["string", "null"]}}});
            schema.as_object_mut().into_iter().for_each(|schema| {
                schema.extend(more.as_object().cloned().unwrap_or_default());
            });
            schema
        };
        let nested = |inner: Value| object(json!({"properties": {"a": inner}}));
        for (schema, strict) in [
            (object(json!({})), true),
            (nested(json!({"type": "array", "items": object(json!({}))})), true),
            (
                nested(json!({"anyOf": [{"$ref": "#/$defs/x"}, {"type": "integer", "enum": [1]}]})),
                true,
            ),
            (nested(json!({"enum": [1]})), false),
            (object(json!({"$defs": {"x": {"type": "integer"}}})), true),
            (object(json!({"required": []})), false),
            (object(json!({"additionalProperties": true})), false),
            (nested(json!({"type": "string", "minLength": 1})), false),
            (nested(json!({"type": "object"})), false),
            (nested(json!({"properties": {"b": {}}})), false),
            (object(json!({"allOf": []})), false),
            (nested(nested(nested(nested(nested(json!({"type": "null"})))))), false),
        ] {
            assert_eq!(is_strict(&schema), strict, "{schema}");
        }
    }
}
