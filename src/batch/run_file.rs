//! `run.json`: what all processes of a batch have to agree on.

use std::fs::{File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::partition::PinnedParts;
use crate::plan::Fingerprint;

pub const NAME: &str = "run.json";
/// The version of the folder's files. They only grow.
const VERSION: u32 = 1;
/// Bytes. A fingerprint has a few parts for each agent.
const MAX_FILE: u64 = 64 << 20;

/// What a folder pins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "run")]
pub struct RunFile {
    pub version: u32,
    pub crew: String,
    /// The inputs as the command line named them when the folder was made.
    pub inputs: String,
    /// The JSON pointer to the key of an input. `None`: the hash of the input.
    pub key: Option<String>,
    #[serde(flatten)]
    pub parts: PinnedParts,
    pub fingerprint: Fingerprint,
    /// Fingerprints whose lines are kept (`--changed keep`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

/// Why a file of the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error("{} is not a file of crew batch: {why}", path.display())]
    Foreign { path: PathBuf, why: String },
}

impl FileError {
    pub(super) fn read(path: &Path, error: io::Error) -> Self {
        Self::Read { path: path.to_owned(), error }
    }

    pub(super) fn write(path: &Path, error: io::Error) -> Self {
        Self::Write { path: path.to_owned(), error }
    }
}

impl RunFile {
    pub fn new(
        crew: String,
        inputs: String,
        key: Option<String>,
        parts: PinnedParts,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { version: VERSION, crew, inputs, key, parts, fingerprint, kept: Vec::new() }
    }

    /// The file of a folder; `None` if it has none.
    ///
    /// # Errors
    /// It cannot be read, or it is of another version.
    pub fn read(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(NAME);
        let found: Option<Self> = read_json(&path)?;
        match found {
            Some(found) if found.version != VERSION => {
                let why = format!("its version is {}, not {VERSION}", found.version);
                Err(FileError::Foreign { path, why })
            }
            found => Ok(found),
        }
    }

    /// Creates the file. Of processes that start together one creates it; the others get its file.
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(self, folder: &Path) -> Result<Self, FileError> {
        let path = folder.join(NAME);
        let temporary = temporary_json(&path, &self)?;
        match temporary.persist_noclobber(&path) {
            Ok(_) => Ok(self),
            Err(failed) if failed.error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Self::read(folder)?.unwrap_or(self))
            }
            Err(failed) => Err(FileError::write(&path, failed.error)),
        }
    }

    /// Replaces the file in one step.
    ///
    /// # Errors
    /// It cannot be replaced.
    pub fn replace(&self, folder: &Path) -> Result<(), FileError> {
        replace_json(&folder.join(NAME), self)
    }

    /// Whether a line with this fingerprint is a result of this batch.
    pub fn accepts(&self, fingerprint: &str) -> bool {
        // Of an input that could not be used, no crew has run.
        fingerprint.is_empty()
            || fingerprint == self.fingerprint.hash
            || self.kept.iter().any(|kept| kept == fingerprint)
    }
}

/// The value in a JSON file; `None` if there is no file.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::read(path, error)),
    };
    let mut text = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut text)
        .map_err(|error| FileError::read(path, error))?;
    let foreign = |error: serde_json::Error| FileError::Foreign {
        path: path.to_owned(),
        why: error.to_string(),
    };
    serde_json::from_slice(&text).map(Some).map_err(foreign)
}

/// Replaces a JSON file in one step.
pub(super) fn replace_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let temporary = temporary_json(path, value)?;
    temporary.persist(path).map_err(|failed| FileError::write(path, failed.error))?;
    Ok(())
}

/// A file beside `path` that may take its place, written and synced.
fn temporary_json(path: &Path, value: &impl Serialize) -> Result<NamedTempFile, FileError> {
    let write = || -> io::Result<NamedTempFile> {
        let mut temporary = temporary(path)?;
        let mut out = BufWriter::new(&mut temporary);
        serde_json::to_writer_pretty(&mut out, value)?;
        out.write_all(b"\n")?;
        out.flush()?;
        drop(out);
        temporary.as_file().sync_all()?;
        Ok(temporary)
    };
    write().map_err(|error| FileError::write(path, error))
}

/// An empty file beside `path`, which others may read as far as the umask allows.
pub(super) fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let permissions = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(".crew-").permissions(permissions).tempfile_in(folder)
}
