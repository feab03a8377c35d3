//! The keys of `extra_body`, merged into the body of a request.

use serde::Serializer as _;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Serializer, Value};

use crate::config::forms::Entries;

/// Merges into a JSON object: keys of objects on both sides one by one, other values are replaced.
/// What is not concerned, such as the messages, keeps its text.
pub fn merge(body: &[u8], extra: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
    let mut entries: Entries<Box<RawValue>> = serde_json::from_slice(body)?;
    for (key, value) in extra {
        let found = entries.0.iter_mut().find(|(known, _)| known == key);
        let Some((_, known)) = found else {
            entries.0.push((key.clone(), to_raw_value(value)?));
            continue;
        };
        let mut merged = serde_json::from_str(known.get())?;
        merge_values(&mut merged, value);
        *known = to_raw_value(&merged)?;
    }
    let mut merged = Vec::with_capacity(body.len());
    Serializer::new(&mut merged).collect_map(entries.0)?;
    Ok(merged)
}

fn merge_values(known: &mut Value, extra: &Value) {
    match (known, extra) {
        (Value::Object(known), Value::Object(extra)) => {
            for (key, value) in extra {
                merge_values(known.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (known, extra) => known.clone_from(extra),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_added_and_objects_are_merged() {
        let body = br#"{"model":"m","messages":[1e400],"generationConfig":{"temperature":0.5}}"#;
        let extra = json!({"service_tier": "flex",
            "generationConfig": {"mediaResolution": "LOW", "x": {"y": 1}}});
        let merged = merge(body, extra.as_object().unwrap_or(&Map::new())).unwrap_or_default();
        assert_eq!(
            String::from_utf8_lossy(&merged),
            r#"{"model":"m","messages":[1e400],"generationConfig":{"temperature":0.5,"mediaResolution":"LOW","x":{"y":1}},"service_tier":"flex"}"#
        );
    }
}
