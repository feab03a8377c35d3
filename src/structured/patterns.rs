//! The validator of a schema, with its regular expressions within bounds.

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Value, json};

/// Steps of a file's pattern with look-around on one text.
const MAX_BACKTRACKS: usize = 10_000;
/// Bytes of a compiled pattern of a file. `^[^/]{1,255}/[^/]{1,255}$` needs more than half of it.
const MAX_FILE_PATTERN: usize = 1 << 20;
/// Bytes of a compiled pattern of an MCP server. It bounds the time of a match too: a hostile one
/// takes about 10 s for a text of 1 MiB.
const MAX_SERVER_PATTERN: usize = 96 << 10;
/// Patterns that crew compiles for one MCP server.
pub const MAX_SERVER_PATTERNS: usize = 128;
/// Bytes of the cache that a pattern fills while it matches.
const CACHE: usize = 64 << 10;

/// The validator for a schema of the file.
pub fn file_validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex()
        .backtrack_limit(MAX_BACKTRACKS)
        .size_limit(MAX_FILE_PATTERN)
        .dfa_size_limit(CACHE);
    build(schema, options().with_pattern_options(patterns))
}

/// The validator for a schema of an MCP server. It uses the linear engine and accepts any object if
/// that cannot read a pattern, or if there are more patterns than crew still compiles: the server
/// checks its arguments anyway.
pub fn server_validator(
    schema: &Value,
    patterns_left: &mut usize,
) -> Result<Validator, ValidationError<'static>> {
    let unchecked = || build(&json!({"type": "object"}), options());
    let Some(left) = patterns_left.checked_sub(count(schema)) else {
        jsonschema::meta::validate(schema).map_err(ValidationError::to_owned)?;
        return unchecked();
    };
    *patterns_left = left;
    let patterns = PatternOptions::regex().size_limit(MAX_SERVER_PATTERN).dfa_size_limit(CACHE);
    match build(schema, options().with_pattern_options(patterns)) {
        Err(error) if is_unreadable_pattern(error.kind()) => unchecked(),
        result => result,
    }
}

fn options() -> ValidationOptions<'static> {
    // Drafts disagree on whether a format is checked, so it never is. A pattern always is.
    jsonschema::options().should_validate_formats(false)
}

fn build(
    schema: &Value,
    options: ValidationOptions<'_>,
) -> Result<Validator, ValidationError<'static>> {
    options.build(schema).map_err(ValidationError::to_owned)
}

fn is_unreadable_pattern(kind: &ValidationErrorKind) -> bool {
    matches!(kind, ValidationErrorKind::Format { format } if format == "regex")
}

/// The number of patterns, also at places that become a schema only by a reference to them.
fn count(value: &Value) -> usize {
    match value {
        Value::Object(entries) => {
            let own = |(key, value): (&String, &Value)| match value {
                Value::String(_) if key == "pattern" => 1,
                Value::Object(patterns) if key == "patternProperties" => patterns.len(),
                _ => 0,
            };
            entries.iter().map(own).sum::<usize>() + entries.values().map(count).sum::<usize>()
        }
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 0,
    }
}
