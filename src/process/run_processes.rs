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
use crate::process::tool_process::{Captured, EndCounts, Input, LEFTOVER_EXIT, ToolProcess};
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
    /// Empty unless it is kept apart.
    pub stderr: Excerpt,
    /// It left processes behind. crew is stopping them.
    pub leaked: bool,
    pub stopped_by: Option<Reason>,
}

/// What a tool reads and what is kept of its output.
#[derive(Debug)]
pub struct Streams {
    /// `None`: nothing.
    pub stdin: Option<Vec<u8>>,
    /// Bytes of output that are kept.
    pub max_output: usize,
    /// Bytes of stderr that are kept apart. Then an output of more than `max_output` ends the tool.
    /// `None`: stderr is part of the output.
    pub max_stderr: Option<usize>,
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
    /// Runs a tool until it ends, `stop` completes, or its output is too long, then until it is
    /// gone, which takes at most the grace and half a second. Dropping the future kills the tool.
    ///
    /// # Errors
    /// The process could not be started.
    pub async fn run<Reason>(
        &self,
        invocation: Invocation,
        streams: Streams,
        stop: impl Future<Output = Reason>,
    ) -> io::Result<Finished<Reason>> {
        let mut tool = self.start(invocation, streams)?;
        let stopped_by = tokio::select! {
            biased;
            ended = tool.ended() => { ended?; None }
            reason = stop => Some(reason),
        };
        let leaked = if stopped_by.is_some() || (tool.status().is_none() && tool.is_over()) {
            self.stop(&mut tool).await;
            false
        } else {
            let _held_open = timeout(DRAIN, tool.drained()).await;
            timeout(LEFTOVER_EXIT, tool.gone()).await.is_err()
        };
        let (status, output, stderr) = (tool.status(), tool.take_output(), tool.take_stderr());
        if leaked {
            let (grace, cancel, counts) = (self.grace, self.cancel.clone(), self.counts.clone());
            self.leftovers.spawn(async move { counts.add(tool.stop(grace, &cancel).await) });
        }
        Ok(Finished { status, output, stderr, leaked, stopped_by })
    }

    fn start(&self, invocation: Invocation, streams: Streams) -> io::Result<ToolProcess> {
        let (reader, stdout) = io::pipe()?;
        let reader = Some(pipe::Receiver::from_owned_fd(reader.into())?);
        let (stdin, input) = match streams.stdin {
            None => (File::open("/dev/null")?.into(), None),
            Some(bytes) => {
                let (stdin, to_tool) = io::pipe()?;
                let pipe = pipe::Sender::from_owned_fd(to_tool.into())?;
                (stdin.into(), Some(Input { pipe, bytes, written: 0 }))
            }
        };
        let (stderr, output, errors) = match streams.max_stderr {
            // One pipe keeps the order of stdout and stderr.
            None => {
                let output = Captured::new(reader, streams.max_output);
                (stdout.try_clone()?, output, Captured::new(None, 0))
            }
            Some(max_stderr) => {
                let (reader_of_errors, stderr) = io::pipe()?;
                let errors = pipe::Receiver::from_owned_fd(reader_of_errors.into())?;
                let output = Captured::strict(reader, streams.max_output);
                (stderr, output, Captured::new(Some(errors), max_stderr))
            }
        };
        let streams = [stdin, stdout.into(), stderr.into()];
        let tool = self.processes.launch(invocation, streams, output)?;
        Ok(tool.with_streams(errors, input))
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
        let reader = pipe::Receiver::from_owned_fd(reader.into())?;
        let captured = Captured::new(Some(reader), max_stderr);
        Ok(ServerProcess {
            process: self.processes.launch(invocation, streams, captured)?,
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
