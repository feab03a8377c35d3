//! The file of a recording: a first line that says what it is, then a line for each exchange.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use parking_lot::Mutex;
use serde::Deserialize;

use super::exchange::Exchange;
use super::known::Known;

const FIRST_LINE: &str = "{\"kind\":\"recording\",\"version\":1}\n";
const VERSION: u32 = 1;
/// Bytes of a recording that is read.
const MAX_RECORDING: u64 = 1 << 30;

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
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it is a named pipe without a reader")]
    NoReader,
    #[error("it is larger than {} MiB", MAX_RECORDING >> 20)]
    TooLarge,
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
    /// Opens the file. With [`RecordingMode::Record`] an existing one is replaced later, by
    /// [`begin`].
    pub fn open(path: &Path, mode: RecordingMode) -> Result<Self, OpenError> {
        let mut opened = Opened::default();
        match mode {
            RecordingMode::Record => {
                opened.writer = Some(open_to_write(path)?);
            }
            RecordingMode::Replay => opened.known = read(whole_lines(&bytes_of(path)?))?,
            RecordingMode::ReplayOrRecord => {
                let exists = fs::metadata(path).is_ok();
                let bytes = if exists { bytes_of(path)? } else { Vec::new() };
                let mut file = OpenOptions::new().create(true).append(true).open(path)?;
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

/// Opens a file to write at its end, and changes nothing in it. Does not wait for the reader of a
/// named pipe.
fn open_to_write(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits());
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::ENXIO as i32 => OpenError::NoReader,
        _ => OpenError::Io(error),
    })?;
    let flags = fcntl(&file, FcntlArg::F_GETFL).map(OFlag::from_bits_retain);
    let waits = flags.and_then(|flags| fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK)));
    waits.map_err(|error| OpenError::Io(error.into()))?;
    Ok(file)
}

/// Empties the file of a new recording, and writes its first line.
pub(super) fn begin(file: &mut File) -> io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(FIRST_LINE.as_bytes())
}

/// The content of a file. A pipe or a device may never end.
fn bytes_of(path: &Path) -> Result<Vec<u8>, OpenError> {
    let kind = fs::metadata(path)?;
    if !kind.is_file() && !kind.is_dir() {
        return Err(OpenError::NotAFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_RECORDING + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_RECORDING {
        return Err(OpenError::TooLarge);
    }
    Ok(bytes)
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
