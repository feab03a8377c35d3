//! The results file: read line by line, and appended to in one piece for each line.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde::Deserialize;

use super::key::Content;
use super::line::Line;
use super::lines::{Ending, next_line};
use super::run_file::FileError;
use crate::report::{RunStatus, Usage};

/// Bytes of a line. Longer ones are no results.
const MAX_LINE: usize = 1 << 30;
/// After a power cut at most the lines of this time are lost.
const SYNC_PERIOD: Duration = Duration::from_secs(1);

/// The parts of a line that say what became of its input.
#[derive(Debug, Deserialize)]
pub struct LineHead<'a> {
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    pub index: u64,
    pub status: RunStatus,
    #[serde(borrow)]
    pub error: Option<ErrorHead<'a>>,
    pub usage: Usage,
    pub attempts: u32,
    pub duration_ms: u64,
    #[serde(borrow)]
    pub fingerprint: Cow<'a, str>,
    pub content: Option<Content>,
}

#[derive(Debug, Deserialize)]
pub struct ErrorHead<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

/// Reads a results file. Another process may append to it meanwhile.
#[derive(Debug)]
pub struct ResultsReader {
    path: PathBuf,
    file: BufReader<File>,
    line: Vec<u8>,
    /// Of the last line, from 1.
    number: u64,
    /// Where the last whole line ends.
    end: u64,
    is_torn: bool,
}

impl ResultsReader {
    /// Opens a results file; `None` if it does not exist.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Option<Self>, FileError> {
        match File::open(path) {
            Ok(file) => Ok(Some(Self {
                path: path.to_owned(),
                file: BufReader::with_capacity(1 << 18, file),
                line: Vec::new(),
                number: 0,
                end: 0,
                is_torn: false,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(FileError::read(path, error)),
        }
    }

    /// The next line, without its line feed. Ignores a torn last line.
    ///
    /// # Errors
    /// The file cannot be read.
    fn next_line(&mut self) -> Result<Option<&[u8]>, FileError> {
        let (ending, taken) = next_line(&mut self.file, &mut self.line, MAX_LINE)
            .map_err(|error| FileError::read(&self.path, error))?;
        self.number += 1;
        match ending {
            Ending::Whole => {
                self.end += taken;
                Ok(Some(&self.line))
            }
            Ending::TooLong => Err(self.foreign(&"it is too long")),
            Ending::Torn => {
                self.is_torn = true;
                Ok(None)
            }
            Ending::NoLine => Ok(None),
        }
    }

    /// The next line as a [`Line`] or a [`LineHead`].
    ///
    /// # Errors
    /// The file cannot be read, or a line is no result.
    pub fn next<'a, T: Deserialize<'a>>(&'a mut self) -> Result<Option<T>, FileError> {
        if self.next_line()?.is_none() {
            return Ok(None);
        }
        match serde_json::from_slice(&self.line) {
            Ok(line) => Ok(Some(line)),
            Err(error) => Err(self.foreign(&error)),
        }
    }

    /// The bytes of the last line.
    pub fn bytes(&self) -> &[u8] {
        &self.line
    }

    pub fn file(&self) -> &File {
        self.file.get_ref()
    }

    /// Where the last whole line that was read ends, in bytes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether the file ends within a line.
    pub fn is_torn(&self) -> bool {
        self.is_torn
    }

    fn foreign(&self, why: &dyn std::fmt::Display) -> FileError {
        let why = format!("line {} is no result: {why}", self.number);
        FileError::Foreign { path: self.path.clone(), why }
    }
}

/// Appends to a results file. A thread syncs it once a second.
#[derive(Debug)]
pub struct ResultsWriter {
    path: PathBuf,
    file: Arc<File>,
    is_dirty: Arc<AtomicBool>,
    /// Dropped, it ends the thread.
    stop: Option<Sender<()>>,
    syncer: Option<JoinHandle<()>>,
}

impl ResultsWriter {
    /// # Errors
    /// The file cannot be opened for appending.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |error| FileError::write(path, error);
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
        let (file, is_dirty) = (Arc::new(file), Arc::new(AtomicBool::new(false)));
        let (stop, stopped) = mpsc::channel::<()>();
        let sync = {
            let (file, is_dirty) = (file.clone(), is_dirty.clone());
            move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(SYNC_PERIOD) {
                    sync(&file, &is_dirty);
                }
                sync(&file, &is_dirty);
            }
        };
        let syncer = thread::Builder::new().name("sync".to_owned()).spawn(sync).map_err(failed)?;
        let path = path.to_owned();
        Ok(Self { path, file, is_dirty, stop: Some(stop), syncer: Some(syncer) })
    }

    /// Appends a line with one write. After an error the file is as it was before.
    ///
    /// # Errors
    /// The line cannot be written as a whole.
    pub fn append(&mut self, line: &Line) -> Result<(), FileError> {
        let bytes = line.to_bytes();
        self.is_dirty.store(true, Ordering::Release);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match (&*self.file).write(rest) {
                Ok(0) => return Err(self.undo(bytes.len() - rest.len(), io::ErrorKind::WriteZero)),
                // A part only: a disk that is nearly full.
                Ok(taken) => rest = &rest[taken..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.undo(bytes.len() - rest.len(), error)),
            }
        }
        Ok(())
    }

    /// Cuts off the beginning of a line that was not written as a whole.
    fn undo(&self, written: usize, error: impl Into<io::Error>) -> FileError {
        if written > 0 {
            let length = self.file.metadata().map(|metadata| metadata.len());
            // A line that stays torn is cut off by the next process.
            let _ =
                length.and_then(|length| self.file.set_len(length.saturating_sub(written as u64)));
        }
        FileError::write(&self.path, error.into())
    }
}

impl Drop for ResultsWriter {
    fn drop(&mut self) {
        drop(self.stop.take());
        // A panic of the thread has lost no line.
        let _ = self.syncer.take().map(JoinHandle::join);
    }
}

fn sync(file: &File, is_dirty: &AtomicBool) {
    if is_dirty.swap(false, Ordering::AcqRel) {
        // A file system that cannot sync still has the lines.
        let _ = file.sync_data();
    }
}
