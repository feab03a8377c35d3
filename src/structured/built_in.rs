//! The schemas that crew brings with it, for `output_schema: crew:NAME`.

use serde_json::{Value, json};

/// What the name of a built-in schema begins with.
pub const PREFIX: &str = "crew:";

/// The names, with the prefix.
pub const NAMES: [&str; 1] = ["crew:findings"];

/// The schema of this name, which has the prefix.
pub fn schema(name: &str) -> Option<Value> {
    (name == NAMES[0]).then(findings)
}

/// Findings about lines of files, which reports turn into SARIF and annotations.
fn findings() -> Value {
    json!({
        "type": "object",
        "required": ["findings"],
        "properties": {
            "findings": {
                "description": "All findings; an empty list if there are none",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["file", "line", "level", "rule", "message"],
                    "properties": {
                        "file": {
                            "description": "Path relative to the root of the repository",
                            "type": "string",
                        },
                        "line": {
                            "description": "First line, from 1",
                            "type": "integer",
                            "minimum": 1,
                        },
                        "end_line": {"description": "Last line", "type": "integer", "minimum": 1},
                        "level": {"enum": ["error", "warning", "note"]},
                        "rule": {
                            "description": "Short name of the kind of finding, such as sql-injection",
                            "type": "string",
                        },
                        "message": {
                            "description": "What is wrong and how to fix it",
                            "type": "string",
                        },
                    },
                },
            },
        },
    })
}
