//! The tools and servers of one run: started, awaited, stopped and counted.

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
use crate::process::processes::Processes;
use crate::process::protocol::Invocation;
use crate::process::tool_process::{EndCounts, LEFTOVER_EXIT, ToolProcess};
use crate::text::Excerpt;

/// How long crew still reads the output of a tool that has ended. A process that holds the pipe
/// open for longer was left behind.
const DRAIN: Duration = Duration::from_millis(200);

/// How a tool ended.
#[derive(Debug)]
pub struct Finished<Reason> {
    /// The exit status of the tool's first process; `None` if its reaper was killed.
    pub status: Option<ExitStatus>,
    pub output: Excerpt,
    /// It left processes behind. crew is stopping them.
    pub leaked: bool,
    pub stopped_by: Option<Reason>,
}

/// A running server, with pipes to its standard input and output.
#[derive(Debug)]
pub struct ServerProcess {
    /// Waiting for its end also reads the server's stderr.
    pub process: ToolProcess,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
}

/// The processes of one run.
#[derive(Debug)]
pub struct RunProcesses {
    processes: Arc<Processes>,
    cancel: Cancellation,
    grace: Duration,
    counts: Arc<Counts>,
    /// One task for each finished tool whose leftovers are being stopped.
    leftovers: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    stopped: AtomicU64,
    killed: AtomicU64,
}

impl Counts {
    fn add(&self, ends: EndCounts) {
        self.stopped.fetch_add(ends.stopped, Ordering::Relaxed);
        self.killed.fetch_add(ends.killed, Ordering::Relaxed);
    }
}

impl Processes {
    /// The processes of one run. Tools get `grace` to end after SIGTERM; a kill of `cancel` ends
    /// the grace early.
    pub fn for_run(self: &Arc<Self>, cancel: Cancellation, grace: Duration) -> RunProcesses {
        RunProcesses {
            processes: self.clone(),
            cancel,
            grace,
            counts: Arc::default(),
            leftovers: TaskTracker::new(),
        }
    }
}

impl RunProcesses {
    /// Runs a tool until it ends or `stop` completes, then until it is gone, which takes at most
    /// the grace and half a second. Keeps `max_output` bytes of its output. Dropping the future
    /// kills the tool.
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
            self.stop(&mut tool).await;
            false
        } else {
            let _held_open = timeout(DRAIN, tool.drained()).await;
            timeout(LEFTOVER_EXIT, tool.gone()).await.is_err()
        };
        let (status, output) = (tool.status(), tool.take_output());
        if leaked {
            let (grace, cancel, counts) = (self.grace, self.cancel.clone(), self.counts.clone());
            self.leftovers.spawn(async move { counts.add(tool.stop(grace, &cancel).await) });
        }
        Ok(Finished { status, output, leaked, stopped_by })
    }

    /// stdin is empty. stdout and stderr share one pipe, which keeps their order.
    fn start(&self, invocation: Invocation, max_output: usize) -> io::Result<ToolProcess> {
        let (reader, writer) = io::pipe()?;
        let stdin = File::open("/dev/null")?.into();
        let stderr = writer.try_clone()?.into();
        self.processes.launch(invocation, [stdin, writer.into(), stderr], reader, max_output)
    }

    /// Starts a server with pipes to its standard input and output. Keeps `max_stderr` bytes of its
    /// stderr for error messages. Dropping the [`ToolProcess`] kills the server.
    ///
    /// # Errors
    /// The guardian could not be reached.
    pub fn serve(&self, invocation: Invocation, max_stderr: usize) -> io::Result<ServerProcess> {
        let (stdin, to_server) = io::pipe()?;
        let (from_server, stdout) = io::pipe()?;
        let (reader, stderr) = io::pipe()?;
        let streams = [stdin.into(), stdout.into(), stderr.into()];
        Ok(ServerProcess {
            process: self.processes.launch(invocation, streams, reader, max_stderr)?,
            stdin: pipe::Sender::from_owned_fd(to_server.into())?,
            stdout: pipe::Receiver::from_owned_fd(from_server.into())?,
        })
    }

    /// Stops a tool or server and everything it has started.
    pub async fn stop(&self, process: &mut ToolProcess) {
        let ends = process.stop(self.grace, &self.cancel).await;
        self.counts.add(ends);
    }

    /// Completes when all leftovers of finished tools have been stopped.
    pub async fn ended(&self) {
        self.leftovers.close();
        self.leftovers.wait().await;
    }

    /// The number of processes that ended after SIGTERM.
    pub fn stopped(&self) -> u64 {
        self.counts.stopped.load(Ordering::Relaxed)
    }

    /// The number of processes that had to be killed.
    pub fn killed(&self) -> u64 {
        self.counts.killed.load(Ordering::Relaxed)
    }
}

/// The name of the signal that ended a process.
pub fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.to_string()))
}
