//! Asking for an answer that fits a schema in a protocol's own way, beside what the messages say.
//!
//! Not every server has one. Most of those that do not pass over it, and the model goes by the
//! messages; some refuse the call: see [`Dialect`](super::dialect::Dialect).

use serde_json::Value;

use crate::untrusted::Untrusted;

/// What a refusal because of the format names.
const NAMES: [&str; 13] = [
    "response_format",
    "response format",
    "json_schema",
    "json schema",
    "output_config",
    "output config",
    "output_format",
    "output format",
    "structured output",
    "response_schema",
    "response_mime_type",
    "response mime type",
    // All that Gemini says of a schema it does not like.
    "contains an invalid argument",
];
/// Levels of a schema that OpenAI's strict mode takes.
const STRICT_LEVELS: usize = 5;

/// Whether a refusal in these words is about the format.
pub fn is_meant(refusal: &Untrusted) -> bool {
    let refusal = refusal.to_its_source().to_ascii_lowercase();
    NAMES.iter().any(|name| refusal.contains(name))
}

/// Whether the answer is to be an object: some protocols know no others.
pub fn is_object(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "object")
}

/// Whether a part of the schema stands for another. Not every protocol knows that, and a part that
/// refers to itself has no end when it is written out.
pub fn has_references(schema: &Value) -> bool {
    match schema {
        Value::Object(entries) => {
            entries.contains_key("$ref") || entries.values().any(has_references)
        }
        Value::Array(items) => items.iter().any(has_references),
        _ => false,
    }
}

/// Whether modes that let the model write nothing else take the schema as it stands: every property
/// required, no others allowed, the type of everything said, and only the keywords that every model
/// with such a mode knows.
pub fn is_strict(schema: &Value) -> bool {
    is_strict_within(schema, STRICT_LEVELS)
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
    fn only_what_strict_mode_takes_is_asked_for_strictly() {
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
