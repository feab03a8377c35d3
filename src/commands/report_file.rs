//! Reads a report that an earlier run has written.

use std::path::{Path, PathBuf};

use super::history::History;
use crate::config::faults::Faults;
use crate::config::find;
use crate::report::{Report, SCHEMA_VERSION};
use crate::text::quoted;

/// Bytes of a report that is read.
const MAX_REPORT: u64 = 256 << 20;

/// The report in a file, or that of a run in the history. A file wins.
///
/// # Errors
/// There is no such report, or it cannot be read.
pub fn saved(report: &Path) -> Result<Report, Faults> {
    match report.to_str() {
        Some(id) if !report.exists() && !id.contains(['/', '.']) => read(&find(id)?),
        _ => read(report),
    }
}

/// The one report of the history that is meant by the beginning of an id, or `last`.
///
/// # Errors
/// There is none, or several.
pub fn find(id: &str) -> Result<PathBuf, Faults> {
    let mut found = History::of_user().map(|history| history.find(id)).unwrap_or_default();
    match (found.pop(), found.len()) {
        (Some(file), 0) => Ok(file),
        (None, _) => {
            let message = format!("there is no run {} in the history", quoted(id));
            let hint = Some("crew runs lists them".to_owned());
            Err(Faults::unplaced(None, message, hint))
        }
        (Some(_), more) => {
            let message = format!("{} runs begin with {}", more + 1, quoted(id));
            let hint = Some("write more of the id; crew runs lists them".to_owned());
            Err(Faults::unplaced(None, message, hint))
        }
    }
}

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
    if report.schema_version != SCHEMA_VERSION {
        let version = report.schema_version;
        return Err(format!(
            "its schema_version is {version}, and this crew reads {SCHEMA_VERSION}"
        ));
    }
    // Files are named after the id.
    if !report.run_id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Err(format!("its run_id {} is not the id of a run", quoted(&report.run_id)));
    }
    Ok(report)
}
