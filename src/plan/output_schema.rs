//! `output_schema`: a JSON Schema in the crew's file or in a file of its own.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::config::value;
use crate::structured::{Schema, SchemaFault, built_in};
use crate::text::quoted;

/// Bytes of a file with a schema. The schema has its own maximum.
const MAX_FILE: u64 = 256 << 10;

/// The faults of a file or of the schema in it: each a message and perhaps a hint.
type FileFaults = Vec<(String, Option<String>)>;

/// The schemas of one crew. Each file is read once.
#[derive(Default)]
pub struct OutputSchemas {
    files: RefCell<HashMap<PathBuf, Result<Arc<Schema>, FileFaults>>>,
}

impl OutputSchemas {
    /// The schema. `None` if it has faults, which are logged.
    pub fn check(&self, given: &Value, path: &Path<'_>, log: &FaultLog) -> Option<Arc<Schema>> {
        if log.is_broken(path) {
            return None;
        }
        let file = match given {
            Value::String(name) if name.starts_with(built_in::PREFIX) => {
                return named(name, path, log);
            }
            Value::String(file) => file,
            Value::Object(_) => return inline(given, path, log),
            _ => {
                let hint = "write a JSON Schema or the path of a file with one".to_owned();
                log.value(path, "expected a JSON Schema", Some(hint));
                return None;
            }
        };
        let mut files = self.files.borrow_mut();
        let place = log.sources.folder(path).join(file);
        let read = files.entry(place).or_insert_with_key(|place| read(file, place));
        match read {
            Ok(schema) => Some(schema.clone()),
            Err(faults) => {
                faults.iter().for_each(|(text, hint)| log.value(path, text, hint.clone()));
                None
            }
        }
    }
}

/// Reads the schema at a place, which the crew calls `file`.
fn read(file: &str, place: &FilePath) -> Result<Arc<Schema>, FileFaults> {
    if file.trim().is_empty() || file.contains('\0') {
        let message = format!("{} is not the path of a file", quoted(file));
        return Err(vec![(message, None)]);
    }
    let schema = value::read(place, MAX_FILE, "a schema").map_err(|texts| {
        let hint = "a relative path starts at the crew's file";
        texts.into_iter().map(|text| (text, Some(hint.to_owned()))).collect::<FileFaults>()
    })?;
    let with_place = |fault: SchemaFault| {
        let inside: String = fault.place.iter().map(|key| format!("/{key}")).collect();
        let at = if inside.is_empty() { inside } else { format!(" at {inside}") };
        (format!("{}{at}: {}", place.display(), fault.message), fault.hint)
    };
    let schema = Schema::for_answers(schema);
    schema.map(Arc::new).map_err(|faults| faults.into_iter().map(with_place).collect())
}

/// A schema that crew brings with it.
fn named(name: &str, path: &Path<'_>, log: &FaultLog) -> Option<Arc<Schema>> {
    let Some(schema) = built_in::schema(name) else {
        let hint = format!("built-in schemas: {}", built_in::NAMES.join(", "));
        log.value(path, format!("there is no schema {}", quoted(name)), Some(hint));
        return None;
    };
    inline(&schema, path, log)
}

fn inline(given: &Value, path: &Path<'_>, log: &FaultLog) -> Option<Arc<Schema>> {
    match Schema::for_answers(given.clone()) {
        Ok(schema) => Some(Arc::new(schema)),
        Err(faults) => {
            log_all(given, faults, path, log);
            None
        }
    }
}

/// Logs the faults of a schema in the crew's file.
pub fn log_all(schema: &Value, faults: Vec<SchemaFault>, path: &Path<'_>, log: &FaultLog) {
    for SchemaFault { place, message, hint } in faults {
        log_inside(schema, &place, path, log, message, hint);
    }
}

/// Logs a fault at its place inside the schema. The depth of the file bounds the recursion.
fn log_inside(
    value: &Value,
    place: &[String],
    path: &Path<'_>,
    log: &FaultLog,
    message: String,
    hint: Option<String>,
) {
    let Some((key, rest)) = place.split_first() else { return log.value(path, message, hint) };
    match (value.get(key), key.parse().ok().and_then(|at: usize| Some((at, value.get(at)?)))) {
        (Some(inner), _) => log_inside(inner, rest, &path.key(key), log, message, hint),
        (None, Some((at, inner))) => log_inside(inner, rest, &path.index(at), log, message, hint),
        (None, None) => log.value(path, message, hint),
    }
}
