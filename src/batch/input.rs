//! One input of a batch: its value and its key.

use serde_json::{Number, Value};

use super::key::{Content, of_content};
use crate::template::RunInput;
use crate::text::digest::{MAX_EXACT, canonical};

/// Begins the key of an input that cannot be used; its line follows.
const LINE_KEY: &str = "line:";
/// An input as it was read.
#[derive(Debug)]
pub struct Entry {
    /// Its place among all inputs, from 0.
    pub index: u64,
    /// The line where it begins, from 1.
    pub line: u64,
    /// Bytes that it takes in its file.
    pub bytes: u64,
    /// The value, or why the entry has no value.
    pub value: Result<Value, String>,
}

/// An input that can be run.
#[derive(Debug)]
pub struct BatchInput {
    pub key: String,
    pub content: Content,
    pub input: RunInput,
}

impl Entry {
    /// Takes the input out of the entry; see [`BatchInput::new`].
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn take_input(&mut self, pointer: Option<&str>) -> Result<BatchInput, String> {
        let value = std::mem::replace(&mut self.value, Ok(Value::Null));
        value.and_then(|value| BatchInput::new(value, pointer))
    }

    /// The key of an input that cannot be used.
    pub fn line_key(&self) -> String {
        format!("{LINE_KEY}{}", self.line)
    }
}

impl BatchInput {
    /// The input with its key: the value at the JSON pointer `pointer`, else its hash.
    ///
    /// # Errors
    /// Why the value cannot be used.
    pub fn new(value: Value, pointer: Option<&str>) -> Result<Self, String> {
        let (hash, content) = of_content(&value);
        let key = match pointer {
            None => hash,
            Some(pointer) => key_at(&value, pointer)?,
        };
        let input = match value {
            Value::String(text) => text.into(),
            Value::Object(object) => RunInput::object(object),
            _ => return Err("it is neither a text nor an object".to_owned()),
        };
        Ok(Self { key, content, input })
    }
}

/// Whether no digit of a number was lost when it was read: two keys must not become one.
fn is_exact(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|float| float.abs() < MAX_EXACT)
}

fn key_at(value: &Value, pointer: &str) -> Result<String, String> {
    let key = match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if !is_exact(number) => {
            return Err(format!("its key {pointer} has too many digits: write it as a text"));
        }
        Some(number @ Value::Number(_)) => canonical(number),
        Some(_) => return Err(format!("its key {pointer} is neither a text nor a number")),
        None => return Err(format!("it has no key {pointer}")),
    };
    let is_line = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
    match key.strip_prefix(LINE_KEY) {
        _ if key.is_empty() => Err(format!("its key {pointer} is empty")),
        Some(number) if is_line(number) => {
            Err(format!("its key {key} is the name of an input that cannot be used"))
        }
        _ => Ok(key),
    }
}
