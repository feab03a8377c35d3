//! Brings the report to where the user wants it, and when it does not get there, to where it is
//! not lost.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::cancel::Cancellation;
use crate::commands::fallback;
use crate::commands::output::{OutputError, OutputFile};
use crate::report::Report;
use crate::{exit, render};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// Once a signal has asked crew to end: how long the reader of a report may take nothing of it.
const SILENCE: Duration = Duration::from_millis(300);
/// As above: how long it may take in all, however steadily it drips.
const LONGEST: Duration = Duration::from_secs(5);
/// How often both are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long the fallback file may take: its file system may be one that does not answer.
const KEEPING: Duration = Duration::from_secs(10);

/// Why a report did not get to where it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It has seen enough: nobody is there to be told, and nothing is to be kept.
    #[error("the reader of the report has gone")]
    ReaderGone,
    #[error("could not write the report to standard output: {0}")]
    Stdout(io::Error),
    #[error("{0}")]
    File(OutputError),
    #[error("the report was not written: its reader did not take it")]
    NotTaken,
    #[error("could not start a thread to write the report: {0}")]
    NoThread(io::Error),
    #[error("could not write the report: the thread that wrote it is gone")]
    Lost,
}

/// Writes the report as `show` does, to the file or else to stdout, in a thread of its own: a
/// reader that has stopped reading can keep the thread, but once a signal is heard not crew.
pub async fn deliver(
    report: &Arc<Report>,
    file: Option<OutputFile>,
    show: impl FnOnce(&Report, &mut dyn Write) -> io::Result<()> + Send + 'static,
    cancel: &Cancellation,
) -> Result<(), Undelivered> {
    let (done, result) = oneshot::channel();
    let (report, pulse) = (Arc::clone(report), Arc::new(Pulse::default()));
    let theirs = Arc::clone(&pulse);
    let write = move || match file {
        Some(file) => {
            file.write(|out| show(&report, &mut Felt { out, pulse: theirs })).map_err(of_file)
        }
        None => to_stdout(|out| show(&report, out), theirs).map_err(of_stdout),
    };
    let thread = thread::Builder::new().name("report".to_owned());
    thread.spawn(move || done.send(write())).map_err(Undelivered::NoThread)?;
    tokio::select! {
        biased;
        result = result => result.unwrap_or(Err(Undelivered::Lost)),
        () = reader_stuck(cancel, &pulse) => Err(Undelivered::NotTaken),
    }
}

fn to_stdout(
    show: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    pulse: Arc<Pulse>,
) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    // Pieces small enough that a slow reader is seen to read.
    let mut stdout = BufWriter::with_capacity(8 * 1024, Felt { out: &mut stdout, pulse });
    show(&mut stdout)?;
    stdout.flush()
}

fn of_stdout(error: io::Error) -> Undelivered {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Undelivered::ReaderGone,
        _ => Undelivered::Stdout(error),
    }
}

fn of_file(error: OutputError) -> Undelivered {
    match error {
        OutputError::Write { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
            Undelivered::ReaderGone
        }
        error => Undelivered::File(error),
    }
}

/// Completes when a signal has been heard and the reader takes no more. Without a signal a reader
/// may take its time, as that of any program may.
async fn reader_stuck(cancel: &Cancellation, pulse: &Pulse) {
    let mut bytes = 0;
    let (mut heard, mut last_taken) = (Instant::now(), Instant::now());
    loop {
        sleep(TICK).await;
        let now = Instant::now();
        let reason = cancel.reason();
        if reason.is_none_or(|reason| exit::signal_of(reason.kind).is_none()) {
            (heard, last_taken) = (now, now);
        }
        let so_far = pulse.taken.load(Ordering::Relaxed);
        // A thread that has not got round to writing on a busy machine is not the reader's silence.
        if so_far != bytes || !pulse.waiting.load(Ordering::Relaxed) {
            (bytes, last_taken) = (so_far, now);
        }
        if now - last_taken >= SILENCE || now - heard >= LONGEST {
            return;
        }
    }
}

/// How the writing goes.
#[derive(Debug, Default)]
struct Pulse {
    /// Bytes.
    taken: AtomicU64,
    /// A write has begun that has not ended.
    waiting: AtomicBool,
}

/// Notes how the writing goes.
struct Felt<'a> {
    out: &'a mut dyn Write,
    pulse: Arc<Pulse>,
}

impl Write for Felt<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pulse.waiting.store(true, Ordering::Relaxed);
        let written = self.out.write(bytes);
        self.pulse.waiting.store(false, Ordering::Relaxed);
        if let Ok(taken) = written {
            self.pulse.taken.fetch_add(taken as u64, Ordering::Relaxed);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Keeps a report that was not delivered, whole and as JSON, in the fallback file. Returns what is
/// to be told on stderr: where it is or, if it cannot be kept either, the report itself.
pub fn keep(report: &Arc<Report>, failure: &Undelivered) -> Vec<u8> {
    match failure {
        Undelivered::ReaderGone => return Vec::new(),
        // It was kept beside the file that could not be replaced.
        Undelivered::File(OutputError::Replace { .. }) => {
            return format!("error: {failure}\n").into_bytes();
        }
        _ => {}
    }
    let path = fallback::path(&report.run_id);
    let Err(error) = keep_in_time(report, path.clone()) else {
        return format!("error: {failure}: the report was kept as {path:?}\n").into_bytes();
    };
    let told = format!("error: {failure}: nor could it be kept as {path:?}: {error}: here it is\n");
    let mut told = told.into_bytes();
    let _ = render::json(&**report, &mut told);
    told
}

fn keep_in_time(report: &Arc<Report>, path: PathBuf) -> io::Result<()> {
    let (done, result) = mpsc::channel();
    let report = Arc::clone(report);
    let write = move || done.send(fallback::keep(&path, |out| render::json(&*report, out)));
    thread::Builder::new().name("fallback".to_owned()).spawn(write)?;
    result.recv_timeout(KEEPING).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
