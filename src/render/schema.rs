//! The JSON Schema of the report and of the lines of `-o jsonl`, made from their types.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::events::Line;
use crate::report::Report;

/// The schema of a report; `$defs.event` describes a line of `-o jsonl`.
pub fn report_schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let _ = generator.subschema_for::<Line<'static>>();
    generator.into_root_schema_for::<Report>().into()
}
