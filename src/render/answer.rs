//! The crew's answer and nothing else: text as it is, a structured answer as JSON.

use std::io::{self, Write};

use super::Look;
use crate::report::Report;
use crate::text::sanitize;

/// Writes the answer of the crew; nothing if there is none. On a terminal it is made safe.
pub fn answer(report: &Report, look: Look, out: &mut dyn Write) -> io::Result<()> {
    let Some(text) = report.answer_text() else { return Ok(()) };
    let shown = if look.wraps { sanitize(&text) } else { text.as_str().into() };
    out.write_all(shown.as_bytes())?;
    if !shown.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}
