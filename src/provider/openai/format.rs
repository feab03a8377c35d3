//! `response_format`: how the protocol itself is asked for an answer that fits a schema.
//!
//! Not every server knows it. Most of those that do not pass over it, and the model goes by what
//! the messages say; some refuse the call, which is then made again without it, and so are all later
//! ones of that model.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

use crate::provider::{ChatRequest, ProviderError};
use crate::report::ErrorKind;

/// Levels of a schema that OpenAI's strict mode takes.
const STRICT_LEVELS: usize = 5;

#[derive(Debug, Serialize)]
pub struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: NamedSchema<'a>,
}

#[derive(Debug, Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    schema: &'a Value,
    /// The server is to let the model write nothing else; only some schemas can be had so.
    strict: bool,
}

/// Whether one endpoint is asked so.
#[derive(Debug)]
pub struct Formats {
    /// Tools and a format in one call: elsewhere than at these servers the format often keeps the
    /// model from calling any tool.
    beside_tools: bool,
    /// Models that it was refused for.
    refused: Mutex<HashSet<String>>,
}

impl Formats {
    /// Of the provider with this name.
    pub fn new(provider: &str) -> Self {
        let beside_tools = matches!(provider, "openai" | "openrouter");
        Self { beside_tools, refused: Mutex::default() }
    }

    /// What to ask for, if there is a schema and the server may take it.
    pub fn of<'a>(&self, request: &ChatRequest<'a>) -> Option<ResponseFormat<'a>> {
        let schema = request.output_schema?.schema();
        // The protocol knows no other answers than objects.
        let usable = schema.get("type").is_some_and(|kind| kind == "object")
            && (self.beside_tools || request.tools.is_empty())
            && !self.refused().contains(request.model);
        let strict = is_strict(schema, STRICT_LEVELS);
        let json_schema = NamedSchema { name: "answer", schema, strict };
        usable.then_some(ResponseFormat { r#type: "json_schema", json_schema })
    }

    /// Whether the call was refused because of the format. It is not asked for again then.
    pub fn is_refused(&self, model: &str, error: &ProviderError) -> bool {
        let words = ["response_format", "response format", "json_schema", "json schema"];
        let message = error.message.to_ascii_lowercase();
        let refused =
            error.kind == ErrorKind::BadRequest && words.iter().any(|word| message.contains(word));
        if refused {
            self.refused().insert(model.to_owned());
        }
        refused
    }

    /// A panic elsewhere does not make what stands in it untrue.
    fn refused(&self) -> MutexGuard<'_, HashSet<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether strict mode takes the schema as it stands: every property required, no others allowed,
/// and only the keywords that every model of OpenAI's with this mode knows.
fn is_strict(schema: &Value, levels: usize) -> bool {
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
    let is_strict = |part: &Value| is_strict(part, levels);
    let known = |(key, value): (&String, &Value)| match (key.as_str(), value) {
        ("$defs" | "properties", Value::Object(parts)) => parts.values().all(is_strict),
        ("anyOf", Value::Array(parts)) => parts.iter().all(is_strict),
        ("items", part) => is_strict(part),
        (key, _) => KEYWORDS.contains(&key),
    };
    if !keywords.iter().all(known) {
        return false;
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    if schema.get("type").is_none_or(|kind| kind != "object") {
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
            (nested(json!({"anyOf": [{"$ref": "#/$defs/x"}, {"enum": [1]}]})), true),
            (object(json!({"$defs": {"x": {"type": "integer"}}})), true),
            (object(json!({"required": []})), false),
            (object(json!({"additionalProperties": true})), false),
            (nested(json!({"type": "string", "minLength": 1})), false),
            (nested(json!({"type": "object"})), false),
            (nested(json!({"properties": {"b": {}}})), false),
            (object(json!({"allOf": []})), false),
            (nested(nested(nested(nested(nested(json!({"type": "null"})))))), false),
        ] {
            assert_eq!(is_strict(&schema, STRICT_LEVELS), strict, "{schema}");
        }
    }
}
