//! The full reports of inputs, a file each.

use std::fs;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::run_file::{FileError, replace_json};
use crate::report::Report;
use crate::text::digest::hash;

/// The folder of the reports.
const FOLDER: &str = "reports";
/// Bytes of a name, with room for the extension in what file systems take.
const MAX_NAME: usize = 200;
/// The rest of a name that is too long: its beginning, and the hash of the key.
const BEGINNING: usize = 100;
/// A name of these only is neither hidden nor a path.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The path of the report of a key.
pub fn path(folder: &Path, key: &str) -> PathBuf {
    let name = utf8_percent_encode(key, ENCODED).to_string();
    match name.get(..BEGINNING).filter(|_| name.len() > MAX_NAME) {
        None => folder.join(format!("{name}.json")),
        Some(beginning) => folder.join(format!("{beginning}-{}.json", hash(key))),
    }
}

/// Writes the report of an input.
///
/// # Errors
/// It cannot be written.
pub fn write(folder: &Path, key: &str, report: &Report) -> Result<(), FileError> {
    replace_json(&path(folder, key), report)
}

/// Makes the folder for the reports.
///
/// # Errors
/// It cannot be made.
pub fn create(out: &Path) -> Result<PathBuf, FileError> {
    let folder = out.join(FOLDER);
    fs::create_dir_all(&folder).map_err(|error| FileError::write(&folder, error))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_file_of_the_folder() {
        let folder = Path::new("reports");
        let name = |key: &str| path(folder, key).to_string_lossy().into_owned();
        assert_eq!(name("T-1_a"), "reports/T-1_a.json");
        assert_eq!(name("../a b\0é"), "reports/%2E%2E%2Fa%20b%00%C3%A9.json");
        let (one, other) = (name(&"é".repeat(300)), name(&"é".repeat(301)));
        assert!(one.len() < 255 && one != other, "{one}");
    }
}
