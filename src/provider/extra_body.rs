//! The keys of `extra_body`, merged into the body of a request.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

/// Merges into a JSON object: keys of objects on both sides one by one, other values are replaced.
/// What is not concerned, such as the messages, keeps its text.
pub fn merge(body: &[u8], extra: &Map<String, Value>) -> serde_json::Result<Vec<u8>> {
    let mut entries: Entries = serde_json::from_slice(body)?;
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
    serde_json::to_vec(&entries)
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

/// The entries of an object, in order.
struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

impl Serialize for Entries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
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
