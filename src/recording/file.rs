//! The file of a recording: a first line that says what it is, then a line for each exchange.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::Deserialize;

use super::exchange::Exchange;
use super::known::Known;

const FIRST_LINE: &str = "{\"kind\":\"recording\",\"version\":1}\n";
const VERSION: u32 = 1;

/// What a run does with a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordingMode {
    /// Every exchange goes into a new file.
    Record,
    /// Every request is answered from the file.
    Replay,
    /// Requests that the file does not hold go out and are added.
    ReplayOrRecord,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a recording: its first line is not {}", FIRST_LINE.trim_end())]
    NotARecording,
    #[error("it has version {0}; this version of crew reads version {VERSION}")]
    Version(u32),
    #[error("line {line}: {error}")]
    Line { line: usize, error: serde_json::Error },
}

/// A recording that was opened, and read if it is replayed.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    mode: RecordingMode,
    opened: Mutex<Opened>,
}

/// The exchanges of a file, and the file for those to come.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub known: Known,
    pub writer: Option<File>,
}

impl RecordingFile {
    /// Opens the file; with [`RecordingMode::Record`] an existing one is replaced.
    pub fn open(path: &Path, mode: RecordingMode) -> Result<Self, OpenError> {
        let mut opened = Opened::default();
        match mode {
            RecordingMode::Record => {
                let mut file = File::create(path)?;
                file.write_all(FIRST_LINE.as_bytes())?;
                opened.writer = Some(file);
            }
            RecordingMode::Replay => opened.known = read(whole_lines(&std::fs::read(path)?))?,
            RecordingMode::ReplayOrRecord => {
                let mut file = OpenOptions::new().create(true).append(true).open(path)?;
                let bytes = std::fs::read(path)?;
                let lines = whole_lines(&bytes);
                opened.known = read(lines)?;
                // A torn line would become a part of the next one.
                file.set_len(lines.len() as u64)?;
                if lines.is_empty() {
                    file.write_all(FIRST_LINE.as_bytes())?;
                }
                opened.writer = Some(file);
            }
        }
        Ok(Self { path: path.to_owned(), mode, opened: Mutex::new(opened) })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn mode(&self) -> RecordingMode {
        self.mode
    }

    pub(super) fn take(&self) -> Opened {
        std::mem::take(&mut *self.opened.lock())
    }
}

/// The bytes without a last line that was not written to its end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)]
}

fn read(lines: &[u8]) -> Result<Known, OpenError> {
    #[derive(Deserialize)]
    struct First {
        kind: String,
        version: u32,
    }
    let mut known = Known::default();
    let lines = str::from_utf8(lines).map_err(|_| OpenError::NotARecording)?;
    let mut lines = lines.lines().enumerate();
    let Some((_, first)) = lines.next() else { return Ok(known) };
    let first = serde_json::from_str(first).ok();
    let First { version, .. } =
        first.filter(|first: &First| first.kind == "recording").ok_or(OpenError::NotARecording)?;
    if version != VERSION {
        return Err(OpenError::Version(version));
    }
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let exchange: Exchange =
            serde_json::from_str(line).map_err(|error| OpenError::Line { line: at + 1, error })?;
        known.add(at + 1, exchange);
    }
    Ok(known)
}
