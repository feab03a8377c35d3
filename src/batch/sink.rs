//! Where the lines of a batch go: the results file of its folder, or standard output.

use std::io::{self, Write};
use std::path::Path;
use std::thread;

use tokio::sync::{mpsc, oneshot};

use super::line::Line;
use super::results::ResultsWriter;
use super::run_file::FileError;

/// Lines that wait for the reader of standard output.
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
    pub async fn append(&mut self, line: &Line) -> Result<(), FileError> {
        match self {
            Self::File(results) => results.append(line),
            Self::Stdout(stdout) => stdout.append(line).await,
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
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING);
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

    async fn append(&mut self, line: &Line) -> Result<(), FileError> {
        let gone = || FileError::write(Path::new("-"), io::ErrorKind::BrokenPipe.into());
        self.lines.send(line.to_bytes()).await.map_err(|_| gone())
    }

    /// Waits until all lines are written.
    ///
    /// # Errors
    /// That of standard output.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.lines);
        self.ended.await.unwrap_or(Ok(()))
    }
}
