//! Every child process of crew goes through here: started, heard, stopped, and proved gone.
//!
//! A tool is a whole line of processes with a reaper at its head, which is the guardian's child. crew talks
//! to the reaper through a socket: it says what to start, when to stop and when to kill, and is
//! told when the tool has ended and when nothing of it is left. Closing the socket is enough to
//! have it all killed, so a future that is dropped leaves nothing behind.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::cancel::Cancellation;
use crate::process::family;
use crate::process::guardian::{Dismissal, Guardian};
use crate::process::line::{AFTERMATH, Known, Line};
use crate::process::protocol::Invocation;
use crate::report::Survivor;
use crate::text::Excerpt;

/// How long the output of a tool that has ended is still read. Whoever holds its pipe longer than
/// that is a process left behind.
const DRAIN: Duration = Duration::from_millis(200);
/// How long the guardian may take to end once it has been let go.
const DISMISSED: Duration = Duration::from_millis(100);
/// How long crew itself goes on to kill what it had to adopt while that becomes no less, and how
/// often it looks.
const SWEPT: Duration = Duration::from_millis(100);
const SWEEP_AGAIN: Duration = Duration::from_millis(5);

/// How a tool's process ended.
#[derive(Debug)]
pub struct Finished<Reason> {
    /// `None` if crew never heard of its end.
    pub status: Option<ExitStatus>,
    pub output: Excerpt,
    /// It left processes behind, which are being stopped.
    pub leaked: bool,
    pub stopped_by: Option<Reason>,
}

/// What is left when a run is over.
#[derive(Debug, Default)]
pub struct Farewell {
    pub survivors: Vec<Survivor>,
    /// The guardian was killed during the run, and not by crew.
    pub guardian_lost: bool,
}

/// The processes of one run.
#[derive(Debug)]
pub struct Processes {
    cancel: Cancellation,
    counts: Arc<Counts>,
    grace: Duration,
    /// The soft limit of open files that tools are to have; `None`: crew's own.
    open_files: Option<u64>,
    guardian: Mutex<Option<Guardian>>,
    guardian_lost: AtomicBool,
    /// crew's children when the first guardian was started: none of crew's business.
    inherited: OnceLock<BTreeSet<Pid>>,
    known: Known,
    /// Tools that have ended while something of them is still being stopped.
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
    /// To be asked whether it has ended, which also takes in its stderr.
    pub line: Line,
    pub stdin: pipe::Sender,
    pub stdout: pipe::Receiver,
}

impl Processes {
    /// `cancel` is the run's: its kill calls off every grace.
    pub fn new(cancel: Cancellation, grace: Duration, open_files: Option<u64>) -> Self {
        Self {
            cancel,
            counts: Arc::default(),
            grace,
            open_files,
            guardian: Mutex::default(),
            guardian_lost: AtomicBool::new(false),
            inherited: OnceLock::new(),
            known: Known::default(),
            leftovers: TaskTracker::new(),
        }
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
        self.launch(invocation, [nothing, writer.into(), stderr], reader, max_output)
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
            line: self.launch(invocation, ends, reader, max_stderr)?,
            stdin: pipe::Sender::from_owned_fd(to_server.into())?,
            stdout: pipe::Receiver::from_owned_fd(from_server.into())?,
        })
    }

    /// Stops a server and everything it has started: as a tool that has run out of time.
    pub async fn stop(&self, server: &mut Line) {
        let ends = server.stop(self.grace, &self.cancel).await;
        self.counts.add(ends);
    }

    fn launch(
        &self,
        invocation: Invocation,
        streams: [OwnedFd; 3],
        captured: PipeReader,
        limit: usize,
    ) -> io::Result<Line> {
        let (control, theirs) = StdUnixStream::pair()?;
        control.set_nonblocking(true)?;
        self.hand_over(&theirs, &streams)?;
        let captured = pipe::Receiver::from_owned_fd(captured.into())?;
        let control = UnixStream::from_std(control)?;
        Line::new(control, invocation, captured, limit, self.known.clone())
    }

    /// Gives a tool's descriptors to the guardian. One that is gone is replaced, once.
    fn hand_over(&self, control: &StdUnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let mut guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*guardian {
            match current.hand_over(control, streams) {
                Err(error) if is_gone(&error) => self.guardian_lost.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        self.inherited.get_or_init(|| family::children(getpid()).into_iter().collect());
        let current = guardian.insert(Guardian::start(self.open_files)?);
        current.hand_over(control, streams)
    }

    /// Completes when nothing of any tool is left to stop.
    pub async fn ended(&self) {
        self.leftovers.close();
        self.leftovers.wait().await;
    }

    /// Ends the guardian, and with it whatever is left for any reason. To be called once no tool
    /// runs any more; takes at most a fifth of a second.
    pub async fn close(&self) -> Farewell {
        let guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(guardian) = guardian else { return Farewell::default() };
        let farewell = guardian.dismiss(DISMISSED).await;
        let guardian_lost =
            farewell == Dismissal::Lost || self.guardian_lost.load(Ordering::Relaxed);
        let survivors = match farewell {
            Dismissal::AllGone if !guardian_lost => Vec::new(),
            _ => self.sweep().await,
        };
        Farewell { survivors, guardian_lost }
    }

    /// Kills what crew has adopted because its guardian was killed, or could not end.
    async fn sweep(&self) -> Vec<Survivor> {
        let Some(inherited) = self.inherited.get() else { return Vec::new() };
        if !family::GROUPS_ONLY && !family::can_see() {
            let command = "unknown: the list of processes in /proc can't be read".to_owned();
            return vec![Survivor { pid: 0, command }];
        }
        // What such children leave without a parent is adopted as well: then only those processes
        // are a tool's that can be told to be.
        let is_tools = |child: Pid| {
            !inherited.contains(&child) && (inherited.is_empty() || self.known.holds(child))
        };
        let (mut last_progress, mut fewest) = (Instant::now(), usize::MAX);
        loop {
            let strays = family::kill_children(getpid(), is_tools);
            if strays.is_empty() {
                return Vec::new();
            }
            // The kernel may need its time for hundreds, but no time will do for an undying one.
            if strays.len() < fewest {
                (last_progress, fewest) = (Instant::now(), strays.len());
            } else if last_progress.elapsed() > SWEPT {
                return strays.into_iter().flat_map(family::survivors).collect();
            }
            sleep(SWEEP_AGAIN).await;
            for stray in strays {
                // By its number: there may be children of crew that are none of its business.
                let _ = waitpid(stray, Some(WaitPidFlag::WNOHANG));
            }
        }
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

/// Whether an error of the guardian's socket means that it has died.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// The signal that ended a process, by name.
pub fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.to_string()))
}
