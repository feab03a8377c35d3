//! Types that a schema does not state. `enum: [low, high]` makes them obvious, and yet servers
//! reject a whole request if one is missing.

use serde_json::{Value, json};

use super::faults::{NAMED_PARTS, PARTS};

/// Adds a type to every part of the schema that lists values but states no type. The same values
/// fit it as before.
pub fn add_missing(schema: &mut Value) {
    let Some(keywords) = schema.as_object_mut() else { return };
    for (key, inner) in keywords.iter_mut() {
        match inner {
            Value::Array(parts) if PARTS.contains(&key.as_str()) => {
                parts.iter_mut().for_each(add_missing);
            }
            part if PARTS.contains(&key.as_str()) => add_missing(part),
            Value::Object(parts) if NAMED_PARTS.contains(&key.as_str()) => {
                parts.values_mut().for_each(add_missing);
            }
            _ => {}
        }
    }
    if !keywords.contains_key("type")
        && let Some(kinds) = kinds(keywords.get("const"), keywords.get("enum"))
    {
        keywords.insert("type".to_owned(), kinds);
    }
}

/// The types of the values, unless one is a list or a mapping.
fn kinds(only: Option<&Value>, listed: Option<&Value>) -> Option<Value> {
    let values = only.into_iter().chain(listed.and_then(Value::as_array).into_iter().flatten());
    let mut kinds: Vec<&str> = values.map(kind).collect::<Option<_>>()?;
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.contains(&"number") {
        kinds.retain(|kind| *kind != "integer");
    }
    match kinds[..] {
        [] => None,
        [kind] => Some(kind.into()),
        _ => Some(json!(kinds)),
    }
}

fn kind(value: &Value) -> Option<&'static str> {
    Some(match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_added_only_where_values_imply_them() {
        for (schema, expected) in [
            (json!({"enum": ["low", "high"]}), json!({"enum": ["low", "high"], "type": "string"})),
            (json!({"const": 1}), json!({"const": 1, "type": "integer"})),
            (json!({"enum": [1, 1.5]}), json!({"enum": [1, 1.5], "type": "number"})),
            (
                json!({"enum": [null, true]}),
                json!({"enum": [null, true], "type": ["boolean", "null"]}),
            ),
            (json!({"enum": [[1]]}), json!({"enum": [[1]]})),
            (json!({"enum": [1], "type": "number"}), json!({"enum": [1], "type": "number"})),
            (json!({"const": {"enum": [1]}}), json!({"const": {"enum": [1]}})),
            (
                json!({"properties": {"enum": {"anyOf": [{"const": "a"}, true]}, "const": {}}}),
                json!({"properties": {"enum": {"anyOf": [{"const": "a", "type": "string"}, true]},
                    "const": {}}}),
            ),
        ] {
            let mut typed = schema.clone();
            add_missing(&mut typed);
            assert_eq!(typed, expected, "{schema}");
        }
    }
}
