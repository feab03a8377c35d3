//! Writes the report to its sink. A report that cannot be written there is kept elsewhere: the run
//! was paid for.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::sink::{Sink, WriteError};
use crate::cancel::Cancellation;
use crate::exit;
use crate::render;
use crate::report::Report;

/// How long writing the report may take after a signal.
struct Patience {
    /// While nothing of it is taken.
    silence: Duration,
    /// For all of it, however steadily it is taken.
    whole: Duration,
}

const WITH_A_READER: Patience =
    Patience { silence: Duration::from_millis(300), whole: Duration::from_secs(5) };
/// A regular file has no reader that stops: while bytes move, its end is near.
const WITH_A_FILE: Patience = Patience { silence: MAX_KEEPING, whole: Duration::MAX };
/// Between two looks at the reader.
const TICK: Duration = Duration::from_millis(20);
/// How long a file may take nothing of the report: a file system may not answer.
const MAX_KEEPING: Duration = Duration::from_secs(10);

/// Why the report did not reach its sink.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("could not write the report: its reader stopped reading")]
    ReaderStuck,
    #[error("could not write the report: cannot start a thread: {0}")]
    NoThread(io::Error),
    #[error("could not write the report: internal error (please report it)")]
    Panicked,
}

/// Writes the report with `render` in a thread of its own: a reader that stops reading can block
/// the thread but, once a signal arrives, not crew.
pub async fn deliver(
    report: &Arc<Report>,
    sink: Sink,
    render: impl FnOnce(&Report, &mut dyn Write) -> io::Result<()> + Send + 'static,
    cancel: &Cancellation,
) -> Result<(), DeliveryError> {
    deliver_after(Arc::default(), report, sink, render, cancel).await
}

/// [`deliver`] to a reader that has got something before; `flow` has measured that.
pub async fn deliver_after(
    flow: Arc<Flow>,
    report: &Arc<Report>,
    sink: Sink,
    render: impl FnOnce(&Report, &mut dyn Write) -> io::Result<()> + Send + 'static,
    cancel: &Cancellation,
) -> Result<(), DeliveryError> {
    let (done, result) = oneshot::channel();
    let report = Arc::clone(report);
    let measured = Arc::clone(&flow);
    let patience = if sink.is_file() { WITH_A_FILE } else { WITH_A_READER };
    let write = move || sink.write(|out| render(&report, &mut Measured::new(out, measured)));
    let thread = thread::Builder::new().name("report".to_owned());
    thread.spawn(move || done.send(write())).map_err(DeliveryError::NoThread)?;
    tokio::select! {
        biased;
        result = result => Ok(result.map_err(|_| DeliveryError::Panicked)??),
        () = reader_stuck(cancel, &flow, patience) => Err(DeliveryError::ReaderStuck),
    }
}

/// Completes when a signal has arrived and the reader takes no more. Without a signal a reader may
/// take its time, as with any program.
async fn reader_stuck(cancel: &Cancellation, flow: &Flow, patience: Patience) {
    let mut known = 0;
    let mut signalled = Instant::now();
    let mut last_taken = signalled;
    loop {
        sleep(TICK).await;
        let now = Instant::now();
        let reason = cancel.reason();
        if reason.is_none_or(|reason| exit::signal_of(reason.kind).is_none()) {
            signalled = now;
            last_taken = now;
        }
        let taken = flow.taken();
        // On a busy machine the thread may not be writing yet, which is not the reader's fault.
        if taken != known || !flow.is_writing.load(Ordering::Relaxed) {
            known = taken;
            last_taken = now;
        }
        if now - last_taken >= patience.silence || now - signalled >= patience.whole {
            return;
        }
    }
}

/// The flow of the report to its reader.
#[derive(Debug, Default)]
pub struct Flow {
    /// Bytes.
    taken: AtomicU64,
    /// A write has begun and not returned.
    is_writing: AtomicBool,
}

impl Flow {
    fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

/// A writer that records its flow.
pub struct Measured<'a> {
    out: &'a mut dyn Write,
    flow: Arc<Flow>,
}

impl<'a> Measured<'a> {
    pub fn new(out: &'a mut dyn Write, flow: Arc<Flow>) -> Self {
        Self { out, flow }
    }

    fn measure<T>(&mut self, write: impl FnOnce(&mut dyn Write) -> T) -> T {
        self.flow.is_writing.store(true, Ordering::Relaxed);
        let written = write(self.out);
        self.flow.is_writing.store(false, Ordering::Relaxed);
        written
    }
}

impl Write for Measured<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.measure(|out| out.write(bytes))?;
        self.flow.taken.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.measure(|out| out.flush())
    }
}

/// Keeps a report that was not delivered, as JSON, in the directory for temporary files (`TMPDIR`).
/// Returns the message for stderr: where the report is or, if it cannot be kept either, the report.
pub fn keep(report: &Arc<Report>, failure: &DeliveryError) -> Vec<u8> {
    match failure {
        // Its reader does not want the report, and an error message has no reader either.
        DeliveryError::Write(WriteError::ReaderGone) => return Vec::new(),
        // It was kept beside the file that could not be replaced.
        DeliveryError::Write(WriteError::Replace { .. }) => {
            return format!("error: {failure}\n").into_bytes();
        }
        _ => {}
    }
    let path = env::temp_dir().join(format!("crew-{}.json", report.run_id));
    let Err(error) = keep_in_time(report, path.clone()) else {
        return format!("error: {failure}; the report was kept as {path:?}\n").into_bytes();
    };
    let message = format!("error: {failure}, nor to {path:?}: {error}; the report follows\n");
    let mut message = message.into_bytes();
    let _ = render::json(&**report, &mut message);
    message
}

fn keep_in_time(report: &Arc<Report>, path: PathBuf) -> io::Result<()> {
    let (done, result) = mpsc::channel();
    let (report, flow) = (Arc::clone(report), Arc::new(Flow::default()));
    let measured = Arc::clone(&flow);
    let render =
        move |out: &mut dyn Write| render::json(&*report, &mut Measured::new(out, measured));
    let write = move || done.send(write_new(&path, render));
    thread::Builder::new().name("keep".to_owned()).spawn(write)?;
    loop {
        let known = flow.taken();
        match result.recv_timeout(MAX_KEEPING) {
            Ok(kept) => return kept,
            Err(_) if flow.taken() == known => return Err(io::ErrorKind::TimedOut.into()),
            Err(_) => {}
        }
    }
}

/// Writes a new file that only this user may read. After an error nothing of it is left.
fn write_new(path: &Path, render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // Never a file, or a link, that someone else has put there.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = render(&mut file);
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::report::CancelKind;

    #[tokio::test(start_paused = true)]
    async fn a_regular_file_is_written_however_long_that_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let sink = Sink::open_growing(Some(&path)).unwrap();
        let cancel = Cancellation::new();
        cancel.cancel(CancelKind::Interrupted);
        let report = r#"{"schema_version": 1, "status": "cancelled", "usage": {}, "agents": {}}"#;
        let report: Arc<Report> = Arc::new(serde_json::from_str(report).unwrap());
        let (go_on, later) = mpsc::channel();
        let delivered = deliver(
            &report,
            sink,
            move |_, out| {
                out.write_all(b"paid ")?;
                later.recv().unwrap();
                out.write_all(b"for")
            },
            &cancel,
        );
        // The clock is paused: a minute passes as soon as everything waits.
        let release = async {
            sleep(Duration::from_secs(60)).await;
            go_on.send(()).unwrap();
        };
        let (delivered, ()) = tokio::join!(delivered, release);
        delivered.unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "paid for");
    }

    #[test]
    fn a_kept_report_is_private_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept.json");
        let half = |out: &mut dyn Write| out.write_all(b"half").and(Err(io::Error::other("full")));
        write_new(&path, half).unwrap_err();
        assert!(!path.exists());
        write_new(&path, |out| out.write_all(b"paid for")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "paid for");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_existing_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("kept.json"), folder.path().join("other"));
        symlink(&other, &path).unwrap();
        write_new(&path, |out| out.write_all(b"paid for")).unwrap_err();
        assert!(path.is_symlink() && !other.exists());
    }
}
