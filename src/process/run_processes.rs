//! The tools and servers of one run: started, awaited, stopped and counted.
//!
//! Each tool has a reaper, a child of the guardian. crew tells the reaper through a socket what to
//! start, when to stop and when to kill. The reaper reports when the tool has ended and when no
//! process of it is left. If the socket closes, the reaper kills everything, so dropping a future
//! leaves no process behind.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::cancel::Cancellation;
use crate::process::line::{AFTERMATH, Line};
use crate::process::processes::Processes;
use crate::process::protocol::Invocation;
use crate::text::Excerpt;

/// How long crew still reads the output of a tool that has ended. A process that holds the pipe
/// open for longer was left behind.
const DRAIN: Duration = Duration::from_millis(200);

/// How a tool's process ended.
#[derive(Debug)]
pub struct Finished<Reason> {
    /// `None` if crew did not learn the exit status.
    pub status: Option<ExitStatus>,
    pub output: Excerpt,
    /// It left processes behind, which are being stopped.
    pub leaked: bool,
    pub stopped_by: Option<Reason>,
}

/// The processes of one run, made by [`Processes::for_run`].
#[derive(Debug)]
pub struct RunProcesses {
    processes: Arc<Processes>,
    cancel: Cancellation,
    grace: Duration,
    counts: Arc<Counts>,
    /// One task for each tool that has ended and left processes that are being stopped.
    leftovers: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    stopped: AtomicU64,
    killed: AtomicU64,
}

impl Counts {
    fn add(&self, (stopped, killed): (u64, u64)) {
        self.stopped.fetch_add(stopped, Ordering::Relaxed);
        self.killed.fetch_add(killed, Ordering::Relaxed);
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Served {
    /// Poll [`Line::ended`]: it also reads the server's stderr.
    pub line: Line,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
}

impl RunProcesses {
    pub(super) fn new(processes: Arc<Processes>, cancel: Cancellation, grace: Duration) -> Self {
        Self { processes, cancel, grace, counts: Arc::default(), leftovers: TaskTracker::new() }
    }

    /// Runs a tool until it ends or `stop` completes, and then until it is gone. Takes at most the
    /// grace and half a second more than the earlier of the two. Dropping it kills the tool. Of the
    /// output `max_output` bytes are kept.
    ///
    /// # Errors
    /// The process could not be started.
    pub async fn run<Reason>(
        &self,
        invocation: Invocation,
        max_output: usize,
        stop: impl Future<Output = Reason>,
    ) -> io::Result<Finished<Reason>> {
        let mut tool = self.start(invocation, max_output)?;
        let stopped_by = tokio::select! {
            biased;
            ended = tool.ended() => { ended?; None }
            reason = stop => Some(reason),
        };
        let leaked = if stopped_by.is_some() {
            self.counts.add(tool.stop(self.grace, &self.cancel).await);
            false
        } else {
            let _held_open = timeout(DRAIN, tool.drained()).await;
            timeout(AFTERMATH, tool.gone()).await.is_err()
        };
        let (status, output) = (tool.status(), tool.take_output());
        if leaked {
            let (grace, cancel, counts) = (self.grace, self.cancel.clone(), self.counts.clone());
            self.leftovers.spawn(async move { counts.add(tool.stop(grace, &cancel).await) });
        }
        Ok(Finished { status, output, leaked, stopped_by })
    }

    /// A tool hears nothing and writes into one pipe, so that the order of its outputs is kept.
    fn start(&self, invocation: Invocation, max_output: usize) -> io::Result<Line> {
        let (reader, writer) = io::pipe()?;
        let nothing = File::open("/dev/null")?.into();
        let stderr = writer.try_clone()?.into();
        self.processes.launch(invocation, [nothing, writer.into(), stderr], reader, max_output)
    }

    /// Starts a server that is talked to through its standard input and output; what it writes to
    /// stderr is for messages when it fails, `max_stderr` bytes of it. Dropping the [`Line`] kills it.
    ///
    /// # Errors
    /// It could not be handed to the guardian.
    pub fn serve(&self, invocation: Invocation, max_stderr: usize) -> io::Result<Served> {
        let (stdin, to_server) = io::pipe()?;
        let (from_server, stdout) = io::pipe()?;
        let (reader, stderr) = io::pipe()?;
        let ends = [stdin.into(), stdout.into(), stderr.into()];
        Ok(Served {
            line: self.processes.launch(invocation, ends, reader, max_stderr)?,
            stdin: pipe::Sender::from_owned_fd(to_server.into())?,
            stdout: pipe::Receiver::from_owned_fd(from_server.into())?,
        })
    }

    /// Stops a server and everything it has started: as a tool that has run out of time.
    pub async fn stop(&self, server: &mut Line) {
        let ends = server.stop(self.grace, &self.cancel).await;
        self.counts.add(ends);
    }

    /// Completes when nothing of any tool is left to stop.
    pub async fn ended(&self) {
        self.leftovers.close();
        self.leftovers.wait().await;
    }

    /// Processes that ended when asked to.
    pub fn stopped(&self) -> u64 {
        self.counts.stopped.load(Ordering::Relaxed)
    }

    /// Processes that had to be killed.
    pub fn killed(&self) -> u64 {
        self.counts.killed.load(Ordering::Relaxed)
    }
}

/// The signal that ended a process, by name.
pub fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.to_string()))
}
