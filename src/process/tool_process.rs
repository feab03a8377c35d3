//! crew's end of a tool: the socket to its reaper, and the pipe with its output.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cancel::Cancellation;
use crate::process::live_pids::LivePids;
use crate::process::process_tree::descendants;
use crate::process::protocol::{Invocation, Notice, Order, encode, take};
use crate::text::{Excerpt, HeadTail};

/// How long other processes of a tool may outlive its first one before they count as leftovers.
pub const LEFTOVER_EXIT: Duration = Duration::from_millis(20);
/// How long killed processes may take to disappear. The kernel needs a moment, not more.
const KILL_EXIT: Duration = Duration::from_millis(250);

/// How the processes of one tool ended when it was stopped.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndCounts {
    /// Ended after SIGTERM.
    pub stopped: u64,
    pub killed: u64,
}

/// A tool or a server, and everything it has started.
#[derive(Debug)]
pub struct ToolProcess {
    /// `None` once the reaper has gone.
    control: Option<UnixStream>,
    unsent: Vec<u8>,
    /// Nothing has been sent yet, not even the order to start.
    is_new: bool,
    received: Vec<u8>,
    reaper: Option<Pid>,
    /// The tool's first process. Its pid is also its session id.
    leader: Option<Pid>,
    live: LivePids,
    /// The exit status of the leader.
    status: Option<ExitStatus>,
    ends: EndCounts,
    /// `None` at its end.
    pipe: Option<pipe::Receiver>,
    output: HeadTail,
}

impl ToolProcess {
    /// `control` leads to a reaper that waits for the order to start. Keeps `max_output` bytes of
    /// what arrives through `pipe`.
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
            received: Vec::new(),
            reaper: None,
            leader: None,
            live,
            status: None,
            ends: EndCounts::default(),
            pipe: Some(pipe),
            output: HeadTail::new(max_output),
        })
    }

    /// The exit status of the tool's first process, once it has been reported.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Completes when the tool's first process has ended. Reads output meanwhile. Cancel safe.
    ///
    /// # Errors
    /// The tool could not be started.
    pub async fn ended(&mut self) -> io::Result<()> {
        while self.status.is_none() && self.control.is_some() {
            if let Some(Notice::CouldNotStart { error }) = self.next_notice().await {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        Ok(())
    }

    /// Completes when no process holds the output open. Cancel safe.
    pub async fn drained(&mut self) {
        while self.pipe.is_some() {
            read(&mut self.pipe, &mut self.output).await;
        }
    }

    /// Completes when the reaper has gone, and with it every process of the tool. Reads output
    /// meanwhile. Cancel safe.
    pub async fn gone(&mut self) {
        while self.control.is_some() {
            self.next_notice().await;
        }
    }

    /// Sends SIGTERM to every process, and SIGKILL to those still alive when the grace has passed
    /// or been called off.
    pub async fn stop(&mut self, grace: Duration, cancel: &Cancellation) -> EndCounts {
        let deadline = Instant::now() + grace;
        if self.is_new {
            // After a stop nothing starts.
            self.control = None;
        }
        self.order(&Order::Stop);
        let is_gone = tokio::select! {
            biased;
            () = self.gone() => true,
            () = cancel.killed() => false,
            () = sleep_until(deadline) => false,
        };
        if !is_gone {
            self.order(&Order::Kill);
            if timeout(KILL_EXIT, self.gone()).await.is_err() {
                self.kill_reaper();
            }
        }
        // The last output is still in the pipe, which no live process holds open any more.
        let _held_open = timeout(LEFTOVER_EXIT, self.drained()).await;
        self.ends
    }

    fn order(&mut self, order: &Order) {
        // Every order can be encoded.
        self.unsent.extend(encode(order).unwrap_or_default());
    }

    /// Kills a reaper that does not respond: its tool has stopped it, or the machine is too busy.
    /// The guardian adopts the tool's processes and kills them.
    fn kill_reaper(&mut self) {
        if let (Some(_alive), Some(reaper)) = (self.control.take(), self.reaper) {
            self.ends.killed += descendants(reaper).len() as u64;
            let _ = kill(reaper, Signal::SIGKILL);
        }
    }

    /// Sends pending orders and reads output until the reaper sends a notice; `None` if the reaper
    /// has gone. Cancel safe.
    async fn next_notice(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = take(&mut self.received) {
                self.apply(&notice);
                return Some(notice);
            }
            let control = self.control.as_ref()?;
            let is_open = tokio::select! {
                ready = control.writable(), if !self.unsent.is_empty() => {
                    self.is_new = false;
                    if ready.is_err() || !send(control, &mut self.unsent) {
                        // The reaper has gone, but its notices can still be read.
                        self.unsent.clear();
                    }
                    true
                }
                ready = control.readable() => ready.is_ok() && receive(control, &mut self.received),
                () = read(&mut self.pipe, &mut self.output) => true,
            };
            if !is_open && !self.received.contains(&b'\n') {
                self.control = None;
            }
        }
    }

    fn apply(&mut self, notice: &Notice) {
        match *notice {
            Notice::Started { reaper, leader } => {
                self.reaper = Some(Pid::from_raw(reaper));
                self.leader = Some(Pid::from_raw(leader));
                self.live.insert([reaper, leader].map(Pid::from_raw));
            }
            Notice::CouldNotStart { .. } => {}
            Notice::Ended { status } => self.status = Some(ExitStatus::from_raw(status)),
            Notice::Gone { stopped, killed } => {
                self.ends = EndCounts { stopped, killed };
                self.live.remove([self.reaper, self.leader].into_iter().flatten());
            }
        }
    }

    /// Takes the output that has been read so far.
    pub fn take_output(&mut self) -> Excerpt {
        std::mem::replace(&mut self.output, HeadTail::new(0)).finish()
    }
}

/// Sends as much as fits. False if the other end is closed.
fn send(control: &UnixStream, unsent: &mut Vec<u8>) -> bool {
    match control.try_write(unsent) {
        Ok(length) => {
            unsent.drain(..length);
            true
        }
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Receives what has arrived. False at the end of the stream.
fn receive(control: &UnixStream, received: &mut Vec<u8>) -> bool {
    match control.try_read_buf(received) {
        Ok(length) => length > 0,
        Err(error) => error.kind() == io::ErrorKind::WouldBlock,
    }
}

/// Reads the next piece of output; never completes after the end of the pipe. Cancel safe.
async fn read(pipe: &mut Option<pipe::Receiver>, output: &mut HeadTail) {
    let Some(receiver) = pipe else { return std::future::pending().await };
    let mut buffer = [0; 8 * 1024];
    match receiver.read(&mut buffer).await {
        Ok(0) | Err(_) => *pipe = None,
        Ok(length) => {
            output.push(&buffer[..length]);
            // A tool that never stops writing must not starve the other futures.
            yield_now().await;
        }
    }
}
