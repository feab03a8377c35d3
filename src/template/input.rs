//! The input of a run: a text, or an object whose parts templates can use.

use std::sync::OnceLock;

use minijinja::Value;
use minijinja::value::Serde;
use serde_json::{Map, Value as Json};

/// `{{ input }}` of a run. `{{ input.field }}` is a part of an object; a text has no parts.
#[derive(Debug, Clone, Default)]
pub struct RunInput {
    /// The text; an object as JSON.
    text: String,
    object: Option<Map<String, Json>>,
    /// Made when the first template needs it.
    value: OnceLock<Value>,
}

impl RunInput {
    pub fn object(object: Map<String, Json>) -> Self {
        let json = Json::Object(object);
        let text = json.to_string();
        let Json::Object(object) = json else { return Self::from(text) };
        Self { text, object: Some(object), value: OnceLock::new() }
    }

    /// The object that a text holds as JSON; the text itself if it holds none.
    pub fn parsed(text: String) -> Self {
        match serde_json::from_str(&text) {
            // As it was written.
            Ok(Json::Object(object)) => Self { text, object: Some(object), value: OnceLock::new() },
            _ => Self::from(text),
        }
    }

    /// What `{{ input }}` prints.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn is_object(&self) -> bool {
        self.object.is_some()
    }

    pub(super) fn value(&self) -> Value {
        let value = || match &self.object {
            Some(object) => Value::from(Serde(object)),
            None => Value::from(self.text.as_str()),
        };
        self.value.get_or_init(value).clone()
    }
}

impl From<String> for RunInput {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<&str> for RunInput {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}
