//! Reads a report that an earlier run has written.

use std::path::Path;

use crate::config::faults::Faults;
use crate::config::find;
use crate::report::{Report, SCHEMA_VERSION};

/// Bytes of a report that is read.
const MAX_REPORT: u64 = 256 << 20;

/// Reads the JSON report in a file, of this version or an older one.
///
/// # Errors
/// The file cannot be read, is too large, or is not a report.
pub fn read(file: &Path) -> Result<Report, Faults> {
    let text =
        find::read_up_to(file, MAX_REPORT, "a report").map_err(|error| error.into_faults(file))?;
    parse(&text).map_err(|why| {
        let message = format!("{} is not a report of crew: {why}", file.display());
        let hint = Some("crew run -o json --output-file PATH writes one".to_owned());
        Faults::unplaced(Some(file.to_owned()), message, hint)
    })
}

fn parse(text: &str) -> Result<Report, String> {
    let report: Report = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match report.schema_version {
        SCHEMA_VERSION => Ok(report),
        other => {
            Err(format!("its schema_version is {other}, and this crew reads {SCHEMA_VERSION}"))
        }
    }
}
