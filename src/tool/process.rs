//! Every child process of crew goes through here: started, heard, stopped, and proved gone.
//!
//! A tool is a whole tree of processes. It gets a session, and with it a process group, of its
//! own, and is stopped as a group: SIGTERM, the grace, SIGKILL. The group is signalled even after
//! its leader has gone, since what the leader started may live on.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::task::yield_now;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use super::capture::{Capture, Captured};
use crate::cancel::Cancellation;

/// How long the output of a tool that has ended is still read. Whoever holds its pipe longer than
/// that is a process left behind.
const DRAIN: Duration = Duration::from_millis(200);
/// How often a group whose leader has gone is looked at; nobody tells when its last member goes.
const POLL: Duration = Duration::from_millis(10);
/// How long a killed group may take to disappear. The kernel needs a moment, not more.
const KILLED: Duration = Duration::from_millis(300);

/// What to start.
#[derive(Debug)]
pub struct Invocation {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// `None`: crew's own.
    pub cwd: Option<PathBuf>,
    /// Bytes kept of the output.
    pub max_output: usize,
}

/// How a tool's process ended.
#[derive(Debug)]
pub struct Finished<Reason> {
    /// `None` if even SIGKILL had not ended it in time.
    pub status: Option<ExitStatus>,
    pub output: Captured,
    /// It left processes behind, which are being stopped.
    pub leaked: bool,
    pub stopped_by: Option<Reason>,
}

/// The processes of one run.
#[derive(Debug)]
pub struct Processes {
    cancel: Cancellation,
    counts: Arc<Counts>,
    grace: Duration,
    /// Trees whose tool has ended while something of them is still being stopped.
    leftovers: TaskTracker,
}

#[derive(Debug, Default)]
struct Counts {
    stopped: AtomicU64,
    killed: AtomicU64,
}

impl Processes {
    /// `cancel` is the run's: its kill calls off every grace.
    pub fn new(cancel: Cancellation, grace: Duration) -> Self {
        Self { cancel, counts: Arc::default(), grace, leftovers: TaskTracker::new() }
    }

    /// Runs a tool until it ends or `stop` completes, and then until it is gone. Takes at most the
    /// grace and half a second more than the earlier of the two. Dropping it kills the tool.
    ///
    /// # Errors
    /// The process could not be started.
    pub async fn run<Reason>(
        &self,
        invocation: Invocation,
        stop: impl Future<Output = Reason>,
    ) -> io::Result<Finished<Reason>> {
        let mut tree = ProcessTree::spawn(invocation)?;
        let stopped_by = tokio::select! {
            biased;
            () = tree.ended() => None,
            reason = stop => Some(reason),
        };
        let leaked = if stopped_by.is_some() {
            tree.stop(self.grace, &self.cancel, &self.counts).await;
            false
        } else {
            let _held_open = timeout(DRAIN, tree.drained()).await;
            tree.is_alive()
        };
        let (status, output) = (tree.status, tree.take_output());
        if leaked {
            let (grace, cancel, counts) = (self.grace, self.cancel.clone(), self.counts.clone());
            self.leftovers.spawn(async move { tree.stop(grace, &cancel, &counts).await });
        }
        Ok(Finished { status, output, leaked, stopped_by })
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

/// One tool's processes: the leader crew started and whatever stayed in its group.
#[derive(Debug)]
struct ProcessTree {
    leader: Child,
    group: Pid,
    /// The leader's, once it has been reaped.
    status: Option<ExitStatus>,
    /// stdout and stderr in one, so that their order is kept; `None` at its end.
    pipe: Option<pipe::Receiver>,
    capture: Capture,
    /// Nothing of the group is left: its number may belong to somebody else from now on.
    gone: bool,
}

impl ProcessTree {
    fn spawn(invocation: Invocation) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(&invocation.program);
        command
            .args(&invocation.arguments)
            .env_clear()
            .envs(invocation.environment)
            // A tool that waits for input nobody can give would wait for ever.
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer);
        if let Some(cwd) = &invocation.cwd {
            command.current_dir(cwd);
        }
        own_session(&mut command);
        let leader = command.spawn()?;
        // The command holds copies of the pipe's writing end: with them open it would never end.
        drop(command);
        let group = leader
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .map(Pid::from_raw)
            .ok_or_else(|| io::Error::other("the process has no id"))?;
        Ok(Self {
            leader,
            group,
            status: None,
            pipe: Some(pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?),
            capture: Capture::new(invocation.max_output),
            gone: false,
        })
    }

    /// Completes when the leader has ended; its output is read meanwhile. Cancel safe.
    async fn ended(&mut self) {
        while self.status.is_none() {
            tokio::select! {
                status = self.leader.wait() => self.status = Some(status.unwrap_or_default()),
                () = read(&mut self.pipe, &mut self.capture) => {}
            }
        }
    }

    /// Completes when everyone has let go of the output. Cancel safe.
    async fn drained(&mut self) {
        while self.pipe.is_some() {
            read(&mut self.pipe, &mut self.capture).await;
        }
    }

    /// Asks the whole group to end, and kills what is left of it when the grace is over or has
    /// been called off.
    async fn stop(&mut self, grace: Duration, cancel: &Cancellation, counts: &Counts) {
        let members = self.members();
        self.signal(Signal::SIGTERM);
        // A stopped process hears nothing until it is continued.
        self.signal(Signal::SIGCONT);
        let deadline = Instant::now() + grace;
        let killed = tokio::select! {
            biased;
            () = self.vanished() => 0,
            () = cancel.killed() => self.kill().await,
            () = sleep_until(deadline) => self.kill().await,
        };
        counts.killed.fetch_add(killed, Ordering::Relaxed);
        counts.stopped.fetch_add(members.saturating_sub(killed), Ordering::Relaxed);
    }

    /// Kills the group and waits, for a bounded time, until it has gone. Returns how many it hit.
    async fn kill(&mut self) -> u64 {
        let members = self.members();
        self.signal(Signal::SIGKILL);
        let _in_time = timeout(KILLED, self.vanished()).await;
        members
    }

    /// Completes when leader and group have gone; the output is read meanwhile.
    async fn vanished(&mut self) {
        self.ended().await;
        let mut poll = interval(POLL);
        while self.is_alive() {
            tokio::select! {
                biased;
                _ = poll.tick() => {}
                () = async { loop { read(&mut self.pipe, &mut self.capture).await } } => {}
            }
        }
        // What it wrote last is still in the pipe, and whoever else holds that is not of the group.
        let _held_open = timeout(POLL, self.drained()).await;
    }

    /// Whether anything of the group still runs.
    fn is_alive(&mut self) -> bool {
        if !self.gone && self.status.is_some() && self.members() == 0 {
            self.gone = true;
        }
        !self.gone
    }

    /// How many processes of the group still run; those that wait to be reaped do not.
    fn members(&self) -> u64 {
        if self.gone || killpg(self.group, None) == Err(Errno::ESRCH) {
            return 0;
        }
        count_members(self.group)
    }

    fn signal(&self, signal: Signal) {
        if !self.gone {
            // That the group has just gone is no error: it is what was wanted.
            let _ = killpg(self.group, signal);
        }
    }

    fn take_output(&mut self) -> Captured {
        std::mem::replace(&mut self.capture, Capture::new(0)).finish()
    }
}

/// The last net: also a tree whose future was dropped dies.
impl Drop for ProcessTree {
    fn drop(&mut self) {
        if self.is_alive() {
            self.signal(Signal::SIGKILL);
        }
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

/// A session of its own: a terminal's Ctrl-C reaches crew only, which then stops the tool in good
/// order, and a tool cannot read from the terminal.
#[expect(unsafe_code, reason = "only code in the child can make the session")]
fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; setsid is one.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(())
        });
    }
}

/// Counts the members of a group that are not zombies.
#[cfg(target_os = "linux")]
fn count_members(group: Pid) -> u64 {
    let Ok(entries) = std::fs::read_dir("/proc") else { return 1 };
    let stats = entries
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit())
        .filter_map(|entry| std::fs::read(entry.path().join("stat")).ok());
    stats.filter(|stat| is_live_member(stat, group)).count() as u64
}

/// `stat` is `pid (name) state ppid pgrp …`, where the name may hold anything.
#[cfg(target_os = "linux")]
fn is_live_member(stat: &[u8], group: Pid) -> bool {
    let Some(name_end) = stat.iter().rposition(|&byte| byte == b')') else { return false };
    let rest = String::from_utf8_lossy(&stat[name_end + 1..]);
    let mut fields = rest.split_ascii_whitespace();
    let (state, pgrp) = (fields.next(), fields.nth(1));
    !matches!(state, None | Some("Z" | "X")) && pgrp == Some(group.to_string().as_str())
}

/// Elsewhere the kernel tells only that there is someone.
#[cfg(not(target_os = "linux"))]
fn count_members(_group: Pid) -> u64 {
    1
}

/// The signal that ended a process, by name.
pub fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| format!("SIG{number}"), |s| s.to_string()))
}
