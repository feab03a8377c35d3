//! crew's end of a tool: the socket to its reaper, and the pipe with its output.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
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
    output: Captured,
    /// stderr, if it is kept apart.
    stderr: Captured,
    stdin: Option<Input>,
}

/// What arrives through a pipe.
#[derive(Debug)]
pub struct Captured {
    /// `None` at its end.
    pub pipe: Option<pipe::Receiver>,
    pub bytes: HeadTail,
    /// What goes over the limit ends the tool.
    pub is_strict: bool,
}

impl Captured {
    /// Keeps head and tail within the limit.
    pub fn new(pipe: Option<pipe::Receiver>, limit: usize) -> Self {
        Self { pipe, bytes: HeadTail::new(limit), is_strict: false }
    }

    /// Keeps the head. What goes over the limit ends the tool.
    pub fn strict(pipe: Option<pipe::Receiver>, limit: usize) -> Self {
        Self { pipe, bytes: HeadTail::head(limit), is_strict: true }
    }

    fn is_over(&self) -> bool {
        self.is_strict && self.bytes.is_over()
    }

    fn take(&mut self) -> Excerpt {
        std::mem::replace(&mut self.bytes, HeadTail::new(0)).finish()
    }

    /// Reads the next piece; never completes after the end of the pipe. Cancel safe.
    async fn read(&mut self) {
        let Some(receiver) = &self.pipe else { return std::future::pending().await };
        let ready = receiver.readable().await;
        match ready.and_then(|()| self.read_now()) {
            // A tool that never stops writing must not starve the other futures.
            Ok(1..) => yield_now().await,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => self.pipe = None,
        }
    }

    /// Reads what is there. Not async: its buffer would be a part of every future that may run a
    /// program, and so of every agent that waits.
    fn read_now(&mut self) -> io::Result<usize> {
        let Some(receiver) = &self.pipe else { return Ok(0) };
        let mut buffer = [0; 8 * 1024];
        let length = receiver.try_read(&mut buffer)?;
        self.bytes.push(&buffer[..length]);
        Ok(length)
    }
}

/// What a tool can read from its standard input.
#[derive(Debug)]
pub struct Input {
    pub pipe: pipe::Sender,
    pub bytes: Vec<u8>,
    pub written: usize,
}

/// Writes the next piece and closes the pipe after the last. Never completes without one. Cancel
/// safe.
async fn write(input: &mut Option<Input>) {
    let Some(Input { pipe, bytes, written }) = input else {
        return std::future::pending().await;
    };
    match pipe.write(&bytes[*written..]).await {
        // A tool that does not read its input may have no use for it.
        Ok(0) | Err(_) => *input = None,
        Ok(length) => {
            *written += length;
            if *written == bytes.len() {
                *input = None;
            }
            yield_now().await;
        }
    }
}

impl ToolProcess {
    /// `control` leads to a reaper that waits for the order to start.
    pub fn new(
        control: UnixStream,
        invocation: Invocation,
        output: Captured,
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
            output,
            stderr: Captured::new(None, 0),
            stdin: None,
        })
    }

    /// Keeps stderr apart from stdout, and writes the input, if there is any.
    pub fn with_streams(self, stderr: Captured, stdin: Option<Input>) -> Self {
        Self { stderr, stdin, ..self }
    }

    /// The exit status of the tool's first process, once it has been reported.
    pub fn status(&self) -> Option<ExitStatus> {
        self.status
    }

    /// Completes when the tool's first process has ended, or its output exceeds a strict limit.
    /// Reads output meanwhile. Cancel safe.
    ///
    /// # Errors
    /// The tool could not be started.
    pub async fn ended(&mut self) -> io::Result<()> {
        while self.status.is_none() && self.control.is_some() && !self.is_over() {
            if let Some(Notice::CouldNotStart { error }) = self.next_notice().await {
                return Err(io::Error::from_raw_os_error(error));
            }
        }
        Ok(())
    }

    /// Completes when no process holds the output open. Cancel safe.
    pub async fn drained(&mut self) {
        while self.output.pipe.is_some() || self.stderr.pipe.is_some() {
            tokio::select! {
                () = self.output.read() => {}
                () = self.stderr.read() => {}
            }
        }
    }

    /// Whether the output exceeds a strict limit.
    pub fn is_over(&self) -> bool {
        self.output.is_over()
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
    /// has gone or the output exceeds a strict limit. Cancel safe.
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
                () = self.output.read() => true,
                () = self.stderr.read() => true,
                () = write(&mut self.stdin) => true,
            };
            if !is_open && !self.received.contains(&b'\n') {
                self.control = None;
            }
            if self.is_over() {
                return None;
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
        self.output.take()
    }

    /// Takes what has been read so far of a stderr that is kept apart.
    pub fn take_stderr(&mut self) -> Excerpt {
        self.stderr.take()
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
