//! The JSON Schemas of what crew writes, made from the types of it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::events::{Document, Line as EventLine};
use crate::batch::line::Line;
use crate::batch::run_file::RunFile;

/// The schema of what `-o json` prints; `$defs.event` describes a line of `-o jsonl`.
pub fn report_schema() -> Value {
    schema::<Document, EventLine<'static>>()
}

/// The schema of a line of a results file; `$defs.run` describes `run.json`.
pub fn batch_schema() -> Value {
    schema::<Line, RunFile>()
}

/// The schema of `T`, and in `$defs` that of another type.
fn schema<T: JsonSchema, Other: JsonSchema>() -> Value {
    let mut generator: SchemaGenerator =
        SchemaSettings::draft2020_12().for_serialize().into_generator();
    let _ = generator.subschema_for::<Other>();
    generator.into_root_schema_for::<T>().into()
}
