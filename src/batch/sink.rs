//! Where the lines of a batch go: the results file of its folder, or standard output.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::line::Line;
use super::results::ResultsWriter;
use super::run_file::FileError;
use crate::report::RunStatus;

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
    queue: Arc<Queue>,
    /// Closed when the thread has ended.
    ended: oneshot::Receiver<()>,
}

/// The lines that wait for the reader.
#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Waiting>,
    has_changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// The first one is being written.
    lines: VecDeque<Arc<Line>>,
    /// No further line comes.
    is_closed: bool,
    failure: Option<io::Error>,
}

impl Queue {
    /// Writes lines until there are no more, or one cannot be written.
    fn write_all(&self) {
        while let Some(line) = self.first() {
            let mut stdout = io::stdout().lock();
            let written = stdout.write_all(&line.to_bytes()).and_then(|()| stdout.flush());
            let mut waiting = self.lines.lock();
            match written {
                Ok(()) => drop(waiting.lines.pop_front()),
                Err(error) => return waiting.failure = Some(error),
            }
        }
    }

    /// Waits for a line; `None` if there are no more.
    fn first(&self) -> Option<Arc<Line>> {
        let mut waiting = self.lines.lock();
        while waiting.lines.is_empty() && !waiting.is_closed {
            self.has_changed.wait(&mut waiting);
        }
        waiting.lines.front().cloned()
    }
}

impl Stdout {
    /// # Errors
    /// The thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let (end, ended) = oneshot::channel();
        let lines = queue.clone();
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            lines.write_all();
            drop(end);
        })?;
        Ok(Self { queue, ended })
    }

    /// Never waits: at most as many lines as inputs run come on top of [`WAITING`].
    fn append(&mut self, line: &Line) -> Result<(), FileError> {
        let mut waiting = self.queue.lines.lock();
        if let Some(failure) = &waiting.failure {
            return Err(FileError::write(Path::new("-"), failure.kind().into()));
        }
        waiting.lines.push_back(Arc::new(line.clone()));
        self.queue.has_changed.notify_one();
        Ok(())
    }

    /// Lines that wait for the reader.
    fn waiting(&self) -> usize {
        self.queue.lines.lock().lines.len()
    }

    /// Waits until all lines are written, and at most until `end` completes for a reader that reads
    /// nothing.
    ///
    /// # Errors
    /// Standard output has not taken all lines; these are the others. The first of them may have
    /// been written in part.
    pub async fn finish(self, end: impl Future<Output = ()>) -> Result<(), Untaken> {
        self.queue.lines.lock().is_closed = true;
        self.queue.has_changed.notify_one();
        tokio::select! {
            biased;
            _ended = self.ended => {}
            () = end => {}
        }
        let mut waiting = self.queue.lines.lock();
        let (lines, failure) = (std::mem::take(&mut waiting.lines), waiting.failure.take());
        match failure {
            None if lines.is_empty() => Ok(()),
            failure => Err(Untaken { lines, failure }),
        }
    }
}

/// Lines that the reader of standard output did not take.
#[derive(Debug)]
pub struct Untaken {
    pub lines: VecDeque<Arc<Line>>,
    /// `None`: the reader does not read.
    failure: Option<io::Error>,
}

impl fmt::Display for Untaken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => formatter.write_str("its reader does not read"),
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                formatter.write_str("its reader has closed it")
            }
            Some(error) => error.fmt(formatter),
        }
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
    /// Keeps a line. One that was cancelled is not worth it: its input has to run again.
    pub fn add(&mut self, line: &Line) {
        if line.status == RunStatus::Cancelled {
            return;
        }
        match self.try_add(line) {
            Ok(()) => self.lines += 1,
            Err(_) => {
                self.lost += 1;
                if let Some((path, _)) = self.file.take_if(|_| self.lines == 0) {
                    let _ = fs::remove_file(path);
                }
            }
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
