//! The parameters of a tool.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::arguments;
use super::schema::Schema;
use super::shown::Shown;

/// The parameters of a tool: the schema of its arguments, and the form that models are shown.
#[derive(Debug)]
pub struct Parameters {
    schema: Schema,
    shown: Arc<Value>,
    /// The properties' own names by the shown ones, where these differ.
    renamed: HashMap<String, String>,
}

impl Parameters {
    /// `schema` describes an object.
    pub fn new(schema: Schema) -> Self {
        let Shown { schema: shown, renamed } = Shown::of(schema.schema());
        Self { schema, shown: Arc::new(shown), renamed }
    }

    /// The form for models. It allows every value that the schema allows.
    pub fn shown(&self) -> Arc<Value> {
        self.shown.clone()
    }

    /// The whole schema.
    pub fn schema(&self) -> &Value {
        self.schema.schema()
    }

    /// The arguments as the tool expects them, with defaults filled in, from those that a model
    /// wrote.
    ///
    /// # Errors
    /// They do not match the schema. The reason, for the model.
    pub fn accept(&self, written: &Value) -> Result<Value, String> {
        let own = arguments::with_own_names(written.clone(), &self.renamed);
        let corrected = self.with_defaults(arguments::corrected(self.schema(), own.clone()));
        let Err(why) = self.schema.fit(&corrected) else { return Ok(corrected) };
        // A correction may go wrong where the schema has alternatives.
        let own = self.with_defaults(own);
        match self.schema.fit(&own) {
            Ok(()) => Ok(own),
            Err(_) => Err(why),
        }
    }

    fn with_defaults(&self, mut arguments: Value) -> Value {
        let properties = self.schema().get("properties").and_then(Value::as_object);
        if let Some(arguments) = arguments.as_object_mut() {
            fill_in_defaults(properties, arguments);
        }
        arguments
    }
}

fn fill_in_defaults(properties: Option<&Map<String, Value>>, arguments: &mut Map<String, Value>) {
    for (name, property) in properties.into_iter().flatten() {
        if let Some(default) = property.get("default") {
            arguments.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
