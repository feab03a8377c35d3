//! Every child process of crew goes through here: started, heard, stopped, and proved gone.
//!
//! A tool is a whole line of processes with a reaper at its head, which is the guardian's child. crew talks
//! to the reaper through a socket: it says what to start, when to stop and when to kill, and is
//! told when the tool has ended and when nothing of it is left. Closing the socket is enough to
//! have it all killed, so a future that is dropped leaves nothing behind.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::capture::{Capture, Captured};
use super::family;
use super::guardian::{Dismissal, Guardian};
use super::protocol::{Invocation, Notice, Order, encode, take};
use crate::cancel::Cancellation;
use crate::report::Survivor;

/// How long the output of a tool that has ended is still read. Whoever holds its pipe longer than
/// that is a process left behind.
const DRAIN: Duration = Duration::from_millis(200);
/// How long what a tool had started may take to end after it before it counts as left behind.
const AFTERMATH: Duration = Duration::from_millis(20);
/// How long a killed tool may take to disappear. The kernel needs a moment, not more.
const KILLED: Duration = Duration::from_millis(250);
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
    pub output: Captured,
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
    /// Tools that have ended while something of them is still being stopped.
    leftovers: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    stopped: AtomicU64,
    killed: AtomicU64,
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
            tool.stop(self.grace, &self.cancel, &self.counts).await;
            false
        } else {
            let _held_open = timeout(DRAIN, tool.drained()).await;
            timeout(AFTERMATH, tool.gone()).await.is_err()
        };
        let (status, output) = (tool.status, tool.take_output());
        if leaked {
            let (grace, cancel, counts) = (self.grace, self.cancel.clone(), self.counts.clone());
            self.leftovers.spawn(async move { tool.stop(grace, &cancel, &counts).await });
        }
        Ok(Finished { status, output, leaked, stopped_by })
    }

    fn start(&self, invocation: Invocation, max_output: usize) -> io::Result<Tool> {
        let (control, theirs) = StdUnixStream::pair()?;
        let (reader, writer) = io::pipe()?;
        control.set_nonblocking(true)?;
        self.hand_over(&theirs, &OwnedFd::from(writer))?;
        Ok(Tool {
            control: Some(UnixStream::from_std(control)?),
            unsent: encode(&Order::Start(invocation))?,
            arrived: Vec::new(),
            reaper: None,
            status: None,
            ends: (0, 0),
            pipe: Some(pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?),
            capture: Capture::new(max_output),
        })
    }

    /// Gives a tool's descriptors to the guardian. One that is gone is replaced, once.
    fn hand_over(&self, control: &StdUnixStream, output: &OwnedFd) -> io::Result<()> {
        let mut guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*guardian {
            match current.hand_over(control, output) {
                Err(error) if is_gone(&error) => self.guardian_lost.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        self.inherited.get_or_init(|| family::children(getpid()).into_iter().collect());
        let current = guardian.insert(Guardian::start(self.open_files)?);
        current.hand_over(control, output)
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
        let (mut last_progress, mut fewest) = (Instant::now(), usize::MAX);
        loop {
            let strays = family::kill_children(getpid(), inherited);
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

/// One tool: what crew has of it is the socket to the reaper at its head, and its output.
#[derive(Debug)]
struct Tool {
    /// `None` once the reaper has gone.
    control: Option<UnixStream>,
    unsent: Vec<u8>,
    arrived: Vec<u8>,
    reaper: Option<Pid>,
    /// That of the tool's own process, once it has ended.
    status: Option<ExitStatus>,
    /// How many processes ended when asked to, and how many were killed.
    ends: (u64, u64),
    /// stdout and stderr in one, so that their order is kept; `None` at its end.
    pipe: Option<pipe::Receiver>,
    capture: Capture,
}

impl Tool {
    /// Completes when the tool's own process has ended; its output is read meanwhile. Cancel safe.
    ///
    /// # Errors
    /// It could not be started.
    async fn ended(&mut self) -> io::Result<()> {
        while self.status.is_none() && self.control.is_some() {
            if let Some(Notice::CouldNotStart { error }) = self.hear().await {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        Ok(())
    }

    /// Completes when everyone has let go of the output. Cancel safe.
    async fn drained(&mut self) {
        while self.pipe.is_some() {
            read(&mut self.pipe, &mut self.capture).await;
        }
    }

    /// Completes when the reaper has gone, and so has all of the tool; its output is read
    /// meanwhile. Cancel safe.
    async fn gone(&mut self) {
        while self.control.is_some() {
            self.hear().await;
        }
    }

    /// Asks the whole tool to end, and kills what is left of it when the grace is over or has been
    /// called off.
    async fn stop(&mut self, grace: Duration, cancel: &Cancellation, counts: &Counts) {
        let deadline = Instant::now() + grace;
        self.order(&Order::Stop);
        let vanished = tokio::select! {
            biased;
            () = self.gone() => true,
            () = cancel.killed() => false,
            () = sleep_until(deadline) => false,
        };
        if !vanished {
            self.order(&Order::Kill);
            if timeout(KILLED, self.gone()).await.is_err() {
                self.disown();
            }
        }
        // What it wrote last is still in the pipe, and nobody is left to hold it open.
        let _held_open = timeout(AFTERMATH, self.drained()).await;
        counts.stopped.fetch_add(self.ends.0, Ordering::Relaxed);
        counts.killed.fetch_add(self.ends.1, Ordering::Relaxed);
    }

    fn order(&mut self, order: &Order) {
        // An order holds nothing that cannot be encoded.
        self.unsent.extend(encode(order).unwrap_or_default());
    }

    /// A reaper that does nothing was stopped by its tool: without it, all of that is the guardian's
    /// to kill.
    fn disown(&mut self) {
        if let (Some(_alive), Some(reaper)) = (self.control.take(), self.reaper) {
            let _ = kill(reaper, Signal::SIGKILL);
        }
    }

    /// Sends what is to be sent and reads output until there is news from the reaper; `None` if it
    /// has gone. Cancel safe.
    async fn hear(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = take(&mut self.arrived) {
                self.note(&notice);
                return Some(notice);
            }
            let control = self.control.as_ref()?;
            let alive = tokio::select! {
                ready = control.writable(), if !self.unsent.is_empty() => {
                    ready.is_ok() && send(control, &mut self.unsent)
                }
                ready = control.readable() => ready.is_ok() && receive(control, &mut self.arrived),
                () = read(&mut self.pipe, &mut self.capture) => true,
            };
            if !alive && !self.arrived.contains(&b'\n') {
                self.control = None;
            }
        }
    }

    fn note(&mut self, notice: &Notice) {
        match *notice {
            Notice::Started { reaper } => self.reaper = Some(Pid::from_raw(reaper)),
            Notice::CouldNotStart { .. } => {}
            Notice::Ended { status } => self.status = Some(ExitStatus::from_raw(status)),
            Notice::Gone { stopped, killed } => self.ends = (stopped, killed),
        }
    }

    fn take_output(&mut self) -> Captured {
        std::mem::replace(&mut self.capture, Capture::new(0)).finish()
    }
}

/// False if there is nobody to send to.
fn send(control: &UnixStream, unsent: &mut Vec<u8>) -> bool {
    match control.try_write(unsent) {
        Ok(length) => {
            unsent.drain(..length);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// False at the end of the stream.
fn receive(control: &UnixStream, arrived: &mut Vec<u8>) -> bool {
    match control.try_read_buf(arrived) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Reads one piece of output; waits for ever once there is none to come. Cancel safe.
async fn read(pipe: &mut Option<pipe::Receiver>, capture: &mut Capture) {
    let Some(receiver) = pipe else { return std::future::pending().await };
    let mut buffer = [0; 8 * 1024];
    match receiver.read(&mut buffer).await {
        Ok(0) | Err(_) => *pipe = None,
        Ok(length) => {
            capture.push(&buffer[..length]);
            // A tool that never stops writing must not keep anything else from being polled.
            yield_now().await;
        }
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
