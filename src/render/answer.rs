//! The crew's answer and nothing else: text as it is, a structured answer as JSON.

use std::io::{self, Write};

use serde_json::Value;

use super::Look;
use crate::report::Report;
use crate::text::sanitize;

/// Writes the answer of the crew; nothing if there is none. On a terminal it is made safe.
pub fn answer(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let text = match &report.answer {
        None => return Ok(()),
        Some(Value::String(text)) => text.clone(),
        Some(value) => serde_json::to_string_pretty(value)?,
    };
    let shown = if look.wraps { sanitize(&text) } else { text.as_str().into() };
    out.write_all(shown.as_bytes())?;
    if !shown.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}
