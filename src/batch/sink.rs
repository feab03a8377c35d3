//! Where the lines of a batch go: the results file of its folder, or standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::line::Line;
use super::results::ResultsWriter;
use super::run_file::FileError;

/// Lines that may wait for the reader of standard output before no further input starts.
const WAITING: usize = 64;

#[derive(Debug)]
pub enum Sink {
    File(ResultsWriter),
    Stdout(Stdout),
}

impl Sink {
    /// Writes a line.
    ///
    /// # Errors
    /// It cannot be written as a whole.
    pub fn append(&mut self, line: &Line) -> Result<(), FileError> {
        match self {
            Self::File(results) => results.append(line),
            Self::Stdout(stdout) => stdout.append(line),
        }
    }

    /// Whether lines are taken as fast as they come.
    pub fn has_room(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Stdout(stdout) => stdout.waiting() < WAITING,
        }
    }
}

/// Standard output, written by a thread: its reader may be slow.
#[derive(Debug)]
pub struct Stdout {
    lines: mpsc::Sender<Vec<u8>>,
    /// The error that ended the thread, or that all is written.
    pub ended: oneshot::Receiver<io::Result<()>>,
}

impl Stdout {
    /// # Errors
    /// The thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(Semaphore::MAX_PERMITS);
        let (end, ended) = oneshot::channel();
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            let mut written = Ok(());
            while let (Some(line), Ok(())) = (waiting.blocking_recv(), &written) {
                let mut stdout = io::stdout().lock();
                written = stdout.write_all(&line).and_then(|()| stdout.flush());
            }
            end.send(written)
        })?;
        Ok(Self { lines, ended })
    }

    /// Never waits: at most as many lines as inputs run come on top of [`WAITING`].
    fn append(&mut self, line: &Line) -> Result<(), FileError> {
        let gone = || FileError::write(Path::new("-"), io::ErrorKind::BrokenPipe.into());
        self.lines.try_send(line.to_bytes()).map_err(|_| gone())
    }

    /// Lines that wait for the reader.
    fn waiting(&self) -> usize {
        self.lines.max_capacity() - self.lines.capacity()
    }

    /// Waits until all lines are written, and at most `patience` for a reader that reads nothing.
    ///
    /// # Errors
    /// That of standard output, or its reader did not take the lines in time.
    pub async fn finish(self, patience: Duration) -> io::Result<()> {
        drop(self.lines);
        let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not read"));
        timeout(patience, self.ended).await.map_or_else(late, |ended| ended.unwrap_or(Ok(())))
    }
}

/// Lines that could not be written where they belong, kept in the directory for temporary files:
/// they were paid for.
#[derive(Debug, Default)]
pub struct Kept {
    file: Option<(PathBuf, File)>,
    pub lines: u64,
    /// Those that could not be kept either.
    pub lost: u64,
}

impl Kept {
    pub fn add(&mut self, line: &Line) {
        match self.try_add(line) {
            Ok(()) => self.lines += 1,
            Err(_) => self.lost += 1,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    fn try_add(&mut self, line: &Line) -> io::Result<()> {
        if self.file.is_none() {
            let name = format!("crew-batch-{}.jsonl", uuid::Uuid::now_v7());
            let path = std::env::temp_dir().join(name);
            let new = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
            self.file = Some((path, new));
        }
        match &mut self.file {
            Some((_, file)) => file.write_all(&line.to_bytes()),
            None => Ok(()),
        }
    }
}
