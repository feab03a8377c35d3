//! crew's end of one line of processes: the socket to the reaper at its head, and a pipe of its
//! output that is read meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getsid};
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cancel::Cancellation;
use crate::process::protocol::{Invocation, Notice, Order, encode, take};
use crate::text::{Excerpt, HeadTail};

/// How long what a tool had started may take to end after it before it counts as left behind.
pub const AFTERMATH: Duration = Duration::from_millis(20);
/// How long a killed line may take to disappear. The kernel needs a moment, not more.
const KILLED: Duration = Duration::from_millis(250);

/// The reapers, and the sessions of the tools, of which crew has not heard that nothing is left.
#[derive(Debug, Clone, Default)]
pub struct LivePids(Arc<Mutex<BTreeSet<Pid>>>);

impl LivePids {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a process that crew had to adopt is of a tool.
    pub fn holds(&self, process: Pid) -> bool {
        let live = self.lock();
        live.contains(&process)
            || getsid(Some(process)).is_ok_and(|session| live.contains(&session))
    }
}

/// A tool or a server, and everything it has started.
#[derive(Debug)]
pub struct Line {
    /// `None` once the reaper has gone.
    control: Option<UnixStream>,
    unsent: Vec<u8>,
    /// Nothing has been sent yet, not even what to start.
    is_new: bool,
    arrived: Vec<u8>,
    reaper: Option<Pid>,
    /// The tool's own process, whose number is that of its session.
    leader: Option<Pid>,
    live: LivePids,
    /// That of the tool's own process, once it has ended.
    status: Option<ExitStatus>,
    /// How many processes ended when asked to, and how many were killed.
    ends: (u64, u64),
    /// `None` at its end.
    pipe: Option<pipe::Receiver>,
    capture: HeadTail,
}

impl Line {
    /// `control` leads to a reaper that waits to be told what to start. Of what comes through
    /// `pipe` at most `max_output` bytes are kept.
    pub fn new(
        control: UnixStream,
        invocation: Invocation,
        pipe: pipe::Receiver,
        max_output: usize,
        live: LivePids,
    ) -> io::Result<Self> {
        Ok(Self {
            control: Some(control),
            unsent: encode(&Order::Start(invocation))?,
            is_new: true,
            arrived: Vec::new(),
            reaper: None,
            leader: None,
            live,
            status: None,
            ends: (0, 0),
            pipe: Some(pipe),
            capture: HeadTail::new(max_output),
        })
    }

    /// That of the tool's own process, once crew has heard of its end.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Completes when the tool's own process has ended; its output is read meanwhile. Cancel safe.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn ended(&mut self) -> io::Result<()> {
        while self.status.is_none() && self.control.is_some() {
            if let Some(Notice::CouldNotStart { error }) = self.hear().await {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        Ok(())
    }

    /// Completes when everyone has let go of the output. Cancel safe.
    pub async fn drained(&mut self) {
        while self.pipe.is_some() {
            read(&mut self.pipe, &mut self.capture).await;
        }
    }

    /// Completes when the reaper has gone, and so has all of the tool; its output is read
    /// meanwhile. Cancel safe.
    pub async fn gone(&mut self) {
        while self.control.is_some() {
            self.hear().await;
        }
    }

    /// Asks everything to end, and kills what is left when the grace is over or has been called
    /// off. Returns how many processes ended when asked to, and how many were killed.
    pub async fn stop(&mut self, grace: Duration, cancel: &Cancellation) -> (u64, u64) {
        let deadline = Instant::now() + grace;
        if self.is_new {
            // From the moment of a stop on nothing starts.
            self.control = None;
        }
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
        self.ends
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
                    self.is_new = false;
                    if ready.is_err() || !send(control, &mut self.unsent) {
                        // It has gone, but what it had to say can still be read.
                        self.unsent.clear();
                    }
                    true
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
            Notice::Started { reaper, leader } => {
                self.reaper = Some(Pid::from_raw(reaper));
                self.leader = Some(Pid::from_raw(leader));
                self.live.lock().extend([reaper, leader].map(Pid::from_raw));
            }
            Notice::CouldNotStart { .. } => {}
            Notice::Ended { status } => self.status = Some(ExitStatus::from_raw(status)),
            Notice::Gone { stopped, killed } => {
                self.ends = (stopped, killed);
                let mut live = self.live.lock();
                for gone in [self.reaper, self.leader].into_iter().flatten() {
                    live.remove(&gone);
                }
            }
        }
    }

    /// What has been read so far.
    pub fn take_output(&mut self) -> Excerpt {
        std::mem::replace(&mut self.capture, HeadTail::new(0)).finish()
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
async fn read(pipe: &mut Option<pipe::Receiver>, capture: &mut HeadTail) {
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
