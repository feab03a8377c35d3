//! A JSON Schema, and the checks of values against it.

use std::sync::Arc;

use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use super::faults::{self, MAX_MESSAGE, SchemaFault};
use super::{extract, meter, patterns, types};
use crate::text::truncate;

/// Complaints about one value that the model gets.
const MAX_COMPLAINTS: usize = 5;
/// Steps up to which the validator is asked for details: these take far longer than the mere
/// verdict.
const MAX_EXPLAINED_STEPS: usize = 10_000;

/// A JSON Schema that an answer or the arguments of a call have to fit.
#[derive(Debug)]
pub struct Schema {
    schema: Arc<Value>,
    validator: Validator,
}

impl Schema {
    /// A schema of the crew's file.
    ///
    /// # Errors
    /// All its faults: it is not a JSON Schema, or cannot be checked in bounded time.
    pub fn new(schema: Value) -> Result<Self, Vec<SchemaFault>> {
        faults::check(&schema)?;
        let validator = patterns::file_validator(&schema);
        Self::with(schema, validator)
    }

    /// A schema of answers. Model servers accept one in their own format only if every part has a
    /// type, so missing types are added.
    ///
    /// # Errors
    /// As those of [`Schema::new`].
    pub fn for_answers(mut schema: Value) -> Result<Self, Vec<SchemaFault>> {
        types::add_missing(&mut schema);
        Self::new(schema)
    }

    /// A schema of an MCP server. `patterns_left` is the number of patterns that crew still
    /// compiles for the server, at first [`patterns::MAX_SERVER_PATTERNS`].
    ///
    /// # Errors
    /// As those of [`Schema::new`].
    pub fn from_server(schema: Value, patterns_left: &mut usize) -> Result<Self, Vec<SchemaFault>> {
        faults::check(&schema)?;
        let validator = patterns::server_validator(&schema, patterns_left);
        Self::with(schema, validator)
    }

    fn with(
        schema: Value,
        validator: Result<Validator, ValidationError<'static>>,
    ) -> Result<Self, Vec<SchemaFault>> {
        let validator = validator.map_err(|error| vec![SchemaFault::from(&error)])?;
        Ok(Self { schema: Arc::new(schema), validator })
    }

    pub fn schema(&self) -> &Value {
        &self.schema
    }

    pub fn shared(&self) -> Arc<Value> {
        self.schema.clone()
    }

    /// The instruction to the model to answer with a value that fits.
    pub fn instruction(&self) -> String {
        format!(
            "Your final answer must be one JSON value that fits this JSON Schema, and nothing \
             else: no text around it, no code fence.\n{}",
            self.schema
        )
    }

    /// The value in an answer: alone, in a code fence, or with text around it.
    ///
    /// # Errors
    /// No value fits, or more than one does. The message is for the model.
    pub fn read(&self, answer: &str) -> Result<Value, String> {
        let mut found = extract::values(answer)?;
        if let [value] = &found[..] {
            self.check(value)?;
            return Ok(found.swap_remove(0));
        }
        let mut fitting = Vec::new();
        let mut complaint = String::new();
        for value in found {
            match self.check(&value) {
                Ok(()) if fitting.contains(&value) => {}
                Ok(()) => fitting.push(value),
                // The last value is most likely the answer.
                Err(why) => complaint = why,
            }
        }
        match fitting.len() {
            0 => Err(complaint),
            1 => Ok(fitting.swap_remove(0)),
            several => Err(format!("it holds {several} JSON values that fit, not one")),
        }
    }

    /// Checks that the value fits.
    ///
    /// # Errors
    /// Why it does not, as a sentence.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.fit(value).map_err(|why| format!("it does not fit the schema: {why}"))
    }

    /// Like [`Schema::check`], for messages that name the value themselves.
    ///
    /// # Errors
    /// Why it does not fit.
    pub fn fit(&self, value: &Value) -> Result<(), String> {
        let steps = meter::steps(&self.schema, &self.schema, value)
            .map_err(|_| "too deeply nested, or too large, to be checked".to_owned())?;
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if steps > MAX_EXPLAINED_STEPS {
            return Err("too large to say where".to_owned());
        }
        let errors = self.validator.iter_errors(value).take(MAX_COMPLAINTS);
        let complaints: Vec<String> = errors.map(|error| complaint(&error)).collect();
        Err(complaints.join("; "))
    }
}

fn complaint(error: &ValidationError<'_>) -> String {
    let mut text = error.to_string();
    if text.len() > MAX_MESSAGE {
        // Without the value, which the model knows.
        text = error.masked_with("the value").to_string();
    }
    match error.instance_path().to_string() {
        path if path.is_empty() => truncate(text, MAX_MESSAGE),
        path => truncate(format!("{path}: {text}"), MAX_MESSAGE),
    }
}
