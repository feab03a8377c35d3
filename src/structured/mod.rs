//! Answers of models, and arguments of tools: from what a model wrote to a value that fits a JSON
//! Schema, or to what the model is to be told so that it can mend it.
//!
//! The schema comes from a file or an MCP server, the value from a model: both are bounded before
//! they are worked with. A schema may refer to itself, and then the checker's work can double with
//! each level of a value; [`meter`] counts that work beforehand.

mod extract;
mod faults;
mod meter;
mod patterns;
mod types;

use std::sync::Arc;

use crate::text::truncate;

use jsonschema::{ValidationError, Validator};
use serde_json::Value;

pub use faults::SchemaFault;
pub use patterns::Allowance;

/// Of a schema's complaints, how many the model is told.
const MOST_COMPLAINTS: usize = 5;
/// Characters of a complaint: the checker repeats what it was given, however long that is.
const LONGEST_COMPLAINT: usize = 300;
/// Steps up to which the checker is asked what exactly is wrong: that takes far longer than to see
/// that something is.
const EXPLAINED_STEPS: usize = 10_000;

/// A JSON Schema that an answer or the arguments of a call have to fit.
#[derive(Debug)]
pub struct Schema {
    schema: Arc<Value>,
    validator: Validator,
}

impl Schema {
    /// # Errors
    /// It is no JSON Schema, or not one that can be checked in bounded time: everything that is
    /// wrong with it.
    pub fn new(schema: Value) -> Result<Self, Vec<SchemaFault>> {
        Self::foreign(schema, &mut Allowance::default())
    }

    /// One of answers: servers take it in their own way only if it says the type of everything.
    ///
    /// # Errors
    /// As those of [`Schema::new`].
    pub fn of_answers(mut schema: Value) -> Result<Self, Vec<SchemaFault>> {
        types::spell_out(&mut schema);
        Self::new(schema)
    }

    /// One of many from the same stranger, whose patterns all come out of one allowance.
    ///
    /// # Errors
    /// As those of [`Schema::new`].
    pub fn foreign(schema: Value, allowance: &mut Allowance) -> Result<Self, Vec<SchemaFault>> {
        faults::check(&schema)?;
        let limits = allowance.limits(&schema).map_err(|why| vec![SchemaFault::whole(why)])?;
        let validator = limits.build(&schema).map_err(|error| vec![SchemaFault::from(&error)])?;
        Ok(Self { schema: Arc::new(schema), validator })
    }

    pub fn schema(&self) -> &Value {
        &self.schema
    }

    pub fn shared(&self) -> Arc<Value> {
        self.schema.clone()
    }

    /// What the model is told of it.
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
    /// There is none that fits, or more than one. The message is for the model.
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
                // The last of them is most likely meant.
                Err(why) => complaint = why,
            }
        }
        match fitting.len() {
            0 => Err(complaint),
            1 => Ok(fitting.swap_remove(0)),
            several => Err(format!("it holds {several} JSON values that fit, not one")),
        }
    }

    /// Whether the value fits.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.fit(value).map_err(|why| format!("it does not fit the schema: {why}"))
    }

    /// As [`Schema::check`], for a sentence that says itself what does not fit.
    ///
    /// # Errors
    /// It does not, and why.
    pub fn fit(&self, value: &Value) -> Result<(), String> {
        let steps = meter::steps(&self.schema, &self.schema, value)
            .map_err(|_| "too deeply nested, or too large, to be checked".to_owned())?;
        if self.validator.is_valid(value) {
            return Ok(());
        }
        if steps > EXPLAINED_STEPS {
            return Err("too large to say where".to_owned());
        }
        let errors = self.validator.iter_errors(value).take(MOST_COMPLAINTS);
        let complaints: Vec<String> = errors.map(|error| complaint(&error)).collect();
        Err(complaints.join("; "))
    }
}

fn complaint(error: &ValidationError<'_>) -> String {
    let mut text = error.to_string();
    if text.len() > LONGEST_COMPLAINT {
        // Without the value, which the model knows.
        text = error.masked_with("the value").to_string();
    }
    match error.instance_path().to_string() {
        path if path.is_empty() => truncate(text, LONGEST_COMPLAINT),
        path => truncate(format!("{path}: {text}"), LONGEST_COMPLAINT),
    }
}

#[cfg(test)]
mod tests;
