//! `output_schema`: a JSON Schema as written, in the crew's file or in one beside it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::Arc;

use serde_json::Value;

use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::config::value;
use crate::structured::{Schema, SchemaFault};
use crate::text::quoted;

/// Bytes of a file with a schema; the schema itself has a limit of its own.
const LARGEST_FILE: u64 = 256 << 10;

/// What is wrong with a file or the schema in it, a text and perhaps a hint for each fault.
type Notes = Vec<(String, Option<String>)>;

/// The schemas of one crew: a file that several agents name is read once.
pub struct OutputSchemas<'a> {
    /// Where relative paths start.
    folder: &'a FilePath,
    files: RefCell<HashMap<String, Result<Arc<Schema>, Notes>>>,
}

impl<'a> OutputSchemas<'a> {
    pub fn new(folder: &'a FilePath) -> Self {
        Self { folder, files: RefCell::default() }
    }

    /// The schema, or nothing if it cannot be used; what is wrong has been noted.
    pub fn check(&self, given: &Value, path: &Path<'_>, log: &FaultLog) -> Option<Arc<Schema>> {
        if log.is_broken(path) {
            return None;
        }
        let file = match given {
            Value::String(file) => file,
            Value::Object(_) => return inline(given, path, log),
            _ => {
                let hint = "write a JSON Schema, or the path of a file with one".to_owned();
                log.value(path, "expected a JSON Schema", Some(hint));
                return None;
            }
        };
        let mut files = self.files.borrow_mut();
        let read = files.entry(file.clone()).or_insert_with(|| self.read(file));
        match read {
            Ok(schema) => Some(schema.clone()),
            Err(notes) => {
                notes.iter().for_each(|(text, hint)| log.value(path, text, hint.clone()));
                None
            }
        }
    }

    fn read(&self, file: &str) -> Result<Arc<Schema>, Notes> {
        if file.trim().is_empty() || file.contains('\0') {
            let message = format!("{} is not the path of a file", quoted(file));
            return Err(vec![(message, None)]);
        }
        let place = self.folder.join(file);
        let schema = value::read(&place, LARGEST_FILE, "a schema").map_err(|texts| {
            let hint = "a relative path starts at the crew's file";
            texts.into_iter().map(|text| (text, Some(hint.to_owned()))).collect::<Notes>()
        })?;
        let note = |fault: SchemaFault| {
            let inside: String = fault.place.iter().map(|key| format!("/{key}")).collect();
            let at = if inside.is_empty() { inside } else { format!(" at {inside}") };
            (format!("{}{at}: {}", place.display(), fault.message), fault.hint)
        };
        let schema = Schema::for_answers(schema);
        schema.map(Arc::new).map_err(|faults| faults.into_iter().map(note).collect())
    }
}

fn inline(given: &Value, path: &Path<'_>, log: &FaultLog) -> Option<Arc<Schema>> {
    match Schema::for_answers(given.clone()) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(faults) => {
            note_all(given, faults, path, log);
            None
        }
    }
}

/// Notes what is wrong with a schema in the crew's file.
pub fn note_all(schema: &Value, faults: Vec<SchemaFault>, path: &Path<'_>, log: &FaultLog) {
    for SchemaFault { place, message, hint } in faults {
        note(schema, &place, path, log, message, hint);
    }
}

/// Notes a fault at its place inside the schema. As deep as the file, which the guard has bounded.
fn note(
    value: &Value,
    place: &[String],
    path: &Path<'_>,
    log: &FaultLog,
    message: String,
    hint: Option<String>,
) {
    let Some((key, rest)) = place.split_first() else { return log.value(path, message, hint) };
    match (value.get(key), key.parse().ok().and_then(|at: usize| Some((at, value.get(at)?)))) {
        (Some(inner), _) => note(inner, rest, &path.key(key), log, message, hint),
        (None, Some((at, inner))) => note(inner, rest, &path.index(at), log, message, hint),
        (None, None) => log.value(path, message, hint),
    }
}
