//! The JSON Schema of crew files, for editors and other programs.
//!
//! It is made from the structs that the loader decodes: [`Tracer`] is a deserializer without input
//! that notes what each struct asks for, so schema and loader know the same keys. Descriptions come
//! from `docs/file.md`.

use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, json};

use super::decode::{FLATTENED, Never};
use super::expected::Expected;
use super::file::CrewFile;
use super::file_docs;
use super::prompt_file::{OF_AGENTS, OF_DEFAULTS};

/// The address of the schema, for the first line of a file.
pub const URL: &str = "https://raw.githubusercontent.com/crew-run/crew/main/docs/crew.schema.json";

/// A text with a variable, which can stand for a value of any type.
const VARIABLE: &str = r"\$\{";

/// The schema of a crew file.
pub fn schema() -> Value {
    let mut traced = Value::Null;
    // The tracer has an answer to everything that a struct asks for.
    let _ = CrewFile::deserialize(Tracer(&mut traced));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": URL,
        "title": "Crew file",
        "description": "A crew of AI agents for crew run",
        "type": "object",
        "properties": traced["properties"].take(),
        // A home for anchors.
        "patternProperties": {"^x-": {}},
        "additionalProperties": false,
    })
}

/// Writes the schema of what is deserialized from it.
struct Tracer<'a>(&'a mut Value);

impl<'de> Deserializer<'de> for Tracer<'_> {
    type Error = Never;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        *self.0 = json!({});
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Never> {
        let schema = self.0;
        match Expected::text_of(name) {
            Expected::Models => {
                *schema = any_of([text(), list(text())]);
                visitor.visit_str("")
            }
            Expected::Condition => {
                *schema = json!({"type": ["string", "boolean"]});
                visitor.visit_str("")
            }
            Expected::Confirm => {
                *schema = any_of([
                    json!({"enum": [true, false, "destructive"]}),
                    json!({"type": "string", "pattern": VARIABLE}),
                ]);
                visitor.visit_str("")
            }
            Expected::Items => {
                *schema = json!({"type": ["array", "string"]});
                visitor.visit_str("")
            }
            Expected::Needs | Expected::Env => {
                let value = Tracer(schema).deserialize_map(visitor)?;
                *schema = any_of([list(text()), schema.take()]);
                Ok(value)
            }
            Expected::Size => {
                *schema = json!({"type": ["string", "integer"]});
                visitor.visit_newtype_struct(Tracer(&mut Value::Null))
            }
            Expected::EnvValue => {
                *schema = json!({"type": ["string", "null"]});
                visitor.visit_newtype_struct(Tracer(&mut Value::Null))
            }
            Expected::Text
            | Expected::Duration
            | Expected::Boolean
            | Expected::WholeNumber
            | Expected::Number
            | Expected::JsonNumber
            | Expected::List
            | Expected::Mapping => visitor.visit_newtype_struct(Tracer(schema)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        *self.0 = text();
        visitor.visit_str("")
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        self.deserialize_string(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        *self.0 = json!({"type": ["boolean", "string"], "pattern": VARIABLE});
        visitor.visit_bool(false)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        *self.0 = json!({"type": ["integer", "string"], "minimum": 0, "pattern": VARIABLE});
        visitor.visit_u64(0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        *self.0 = json!({"type": ["number", "string"], "pattern": VARIABLE});
        visitor.visit_f64(0.0)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let mut item = None;
        let value = visitor.visit_seq(OneItem(&mut item))?;
        *self.0 = list(item.unwrap_or_default());
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        let mut item = None;
        let value = visitor.visit_map(OneItem(&mut item))?;
        let item = item.unwrap_or_default();
        *self.0 = json!({"type": ["object", "null"], "additionalProperties": item});
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        let (mut properties, mut others) = (Map::new(), Value::Bool(false));
        let fields =
            Fields { owner: name, fields, properties: &mut properties, others: &mut others };
        let value = visitor.visit_map(fields)?;
        *self.0 = json!({
            "type": ["object", "null"],
            "properties": properties,
            "additionalProperties": others,
        });
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Never> {
        *self.0 =
            any_of([json!({"enum": variants}), json!({"type": "string", "pattern": VARIABLE})]);
        visitor.visit_enum(StrDeserializer::new(variants.first().copied().unwrap_or_default()))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Never> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char bytes byte_buf
        unit unit_struct tuple tuple_struct identifier
    }
}

/// A list, or a mapping, with one entry.
struct OneItem<'a>(&'a mut Option<Value>);

impl OneItem<'_> {
    fn trace<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Never> {
        seed.deserialize(Tracer(self.0.insert(Value::Null)))
    }
}

impl<'de> SeqAccess<'de> for OneItem<'_> {
    type Error = Never;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Never> {
        if self.0.is_some() { Ok(None) } else { self.trace(seed).map(Some) }
    }
}

impl<'de> MapAccess<'de> for OneItem<'_> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Never> {
        if self.0.is_some() {
            Ok(None)
        } else {
            seed.deserialize(StrDeserializer::new("")).map(Some)
        }
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Never> {
        self.trace(seed)
    }
}

/// A mapping with every field of a struct.
struct Fields<'a> {
    /// The struct's name.
    owner: &'static str,
    /// The rest of its fields.
    fields: &'static [&'static str],
    properties: &'a mut Map<String, Value>,
    /// The schema of all other keys.
    others: &'a mut Value,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Never;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Never> {
        let Some(field) = self.fields.first() else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(field)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Never> {
        let Some((field, rest)) = self.fields.split_first() else {
            return Err(de::Error::custom("a value was requested before its key"));
        };
        self.fields = rest;
        let mut traced = Value::Null;
        let value = seed.deserialize(Tracer(&mut traced))?;
        if *field == FLATTENED {
            if let Value::Object(inner) = traced["properties"].take() {
                self.properties.extend(inner);
            }
            *self.others = traced["additionalProperties"].take();
        } else {
            self.properties.insert((*field).to_owned(), property(self.owner, field, traced));
        }
        Ok(value)
    }
}

/// The schema of a key. Some values have a further form, which is resolved before the file is
/// decoded.
fn property(owner: &str, key: &str, traced: Value) -> Value {
    let file = || {
        json!({
            "type": "object",
            "properties": {"file": text()},
            "required": ["file"],
            "additionalProperties": false,
        })
    };
    let mut schema = match owner {
        "CrewFile" if key == "include" => any_of([text(), list(text())]),
        "AgentConfig" if OF_AGENTS.contains(&key) => any_of([text(), file()]),
        "DefaultsConfig" if OF_DEFAULTS.contains(&key) => any_of([text(), file()]),
        _ => traced,
    };
    if let Some(description) = file_docs::description(owner, key) {
        schema["description"] = description.into();
    }
    schema
}

fn text() -> Value {
    json!({"type": "string"})
}

fn list(item: Value) -> Value {
    json!({"type": ["array", "null"], "items": item})
}

fn any_of<const N: usize>(schemas: [Value; N]) -> Value {
    json!({"anyOf": Vec::from(schemas)})
}
