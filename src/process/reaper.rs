//! The process that stands at the head of one tool's line: it starts the tool, adopts whatever
//! the tool leaves without a parent, stops all of it when crew says so or has gone, and ends with the last.
//!
//! It is a fork of the guardian, with one thread and without a program of its own to load: a tool
//! costs one small process more, and in return no process can be mistaken for another tool's.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, getpid};

use crate::process::family;
use crate::process::family::{GROUPS_ONLY, Rounds};
use crate::process::protocol::{Invocation, Notice, Order, encode, take};
use crate::process::sandbox::Confinement;
use crate::process::sys;
use crate::process::sys::{Reaped, Waiter};

/// How often a process group that has lost its leader is looked at, where orphans are not adopted.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long killing goes on once crew has gone. The kernel needs a moment, not more.
const LAST_EFFORT: Duration = Duration::from_millis(300);

/// Runs one tool to its very end. `control` leads to crew, `streams` are the tool's. True if nothing
/// is left.
pub fn run(control: UnixStream, streams: [OwnedFd; 3], waiter: &Waiter) -> bool {
    sys::adopt_orphans();
    let mut reaper = Reaper {
        control,
        untold: Vec::new(),
        arrived: Vec::new(),
        leader: Pid::from_raw(0),
        asked: BTreeSet::new(),
        killed: BTreeSet::new(),
        killing: None,
        abandoned: None,
    };
    match reaper.start(streams) {
        Ok(true) => reaper.watch(waiter),
        Ok(false) => true,
        Err(error) => {
            reaper.note(&Notice::CouldNotStart { error: sys::error_number(&error) });
            reaper.tell();
            true
        }
    }
}

/// What there is left of a tool.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Children,
    /// Only where orphans are not adopted: nothing tells when the last member of the group goes.
    Group,
    Nothing,
}

struct Reaper {
    control: UnixStream,
    /// What crew is to be told, all that belongs together at once.
    untold: Vec<u8>,
    arrived: Vec<u8>,
    /// The tool's own process, and its process group.
    leader: Pid,
    /// Every process that was asked to end.
    asked: BTreeSet<Pid>,
    killed: BTreeSet<Pid>,
    /// Once everything is to be killed.
    killing: Option<Rounds>,
    /// Since when crew is no longer there.
    abandoned: Option<Instant>,
}

impl Reaper {
    /// False if nothing is to be started: crew has gone, or has changed its mind meanwhile.
    fn start(&mut self, streams: [OwnedFd; 3]) -> io::Result<bool> {
        let order = loop {
            match take::<Order>(&mut self.arrived) {
                Some(order) => break order,
                None if self.receive()? => {}
                None => return Ok(false),
            }
        };
        let Order::Start(invocation) = order else { return Ok(false) };
        self.control.set_nonblocking(true)?;
        // On a busy machine the order to stop may have come before this process had its first turn.
        if !self.receive()? || !self.arrived.is_empty() {
            return Ok(false);
        }
        self.leader = spawn(invocation, streams)?;
        self.note(&Notice::Started { reaper: getpid().as_raw(), leader: self.leader.as_raw() });
        self.tell();
        Ok(true)
    }

    /// True when nothing is left.
    fn watch(&mut self, waiter: &Waiter) -> bool {
        loop {
            let left = self.reap();
            if left == Left::Nothing {
                break;
            }
            self.tell();
            if self.abandoned.is_some_and(|since| since.elapsed() > LAST_EFFORT) {
                return false;
            }
            let limit = match &mut self.killing {
                Some(rounds) => {
                    let (due, next) = (rounds.is_due(), rounds.until_next());
                    if due {
                        self.kill();
                    }
                    Some(next)
                }
                None => (left == Left::Group).then_some(LOOK_AGAIN),
            };
            // An end of the stream would stay readable.
            let orders = self.abandoned.is_none().then_some(self.control.as_fd());
            if waiter.wait(orders, limit) {
                self.obey();
            }
        }
        let killed = self.killed.len() as u64;
        let stopped = self.asked.difference(&self.killed).count() as u64;
        self.note(&Notice::Gone { stopped, killed });
        self.tell();
        true
    }

    /// Reaps whoever has ended.
    fn reap(&mut self) -> Left {
        loop {
            match sys::reap() {
                Reaped::Child(pid, status) if pid == self.leader => {
                    self.note(&Notice::Ended { status: status.into_raw() });
                }
                Reaped::Child(..) => {}
                Reaped::NoneYet => return Left::Children,
                Reaped::NoChildren if GROUPS_ONLY && killpg(self.leader, None).is_ok() => {
                    return Left::Group;
                }
                Reaped::NoChildren => return Left::Nothing,
            }
        }
    }

    fn obey(&mut self) {
        if !matches!(self.receive(), Ok(true)) {
            self.abandoned = Some(Instant::now());
            self.kill_from_now_on();
        }
        while let Some(order) = take::<Order>(&mut self.arrived) {
            match order {
                Order::Start(_) => {}
                Order::Stop => {
                    // A stopped process hears nothing until it is continued.
                    let asked = self.signal(&[Signal::SIGTERM, Signal::SIGCONT]);
                    self.asked.extend(asked);
                }
                Order::Kill => self.kill_from_now_on(),
            }
        }
    }

    fn kill_from_now_on(&mut self) {
        self.killing.get_or_insert_with(Rounds::new);
    }

    fn kill(&mut self) {
        if GROUPS_ONLY {
            let _ = killpg(self.leader, Signal::SIGKILL);
        }
        self.killed.extend(family::kill_all(getpid()));
    }

    fn signal(&self, signals: &[Signal]) -> BTreeSet<Pid> {
        if GROUPS_ONLY {
            for signal in signals {
                let _ = killpg(self.leader, *signal);
            }
        }
        family::signal(getpid(), signals)
    }

    /// Takes in what crew has sent; false at its end.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        match self.control.read(&mut buffer) {
            Ok(length) => {
                self.arrived.extend_from_slice(&buffer[..length]);
                Ok(length > 0)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    fn note(&mut self, notice: &Notice) {
        // A notice holds nothing that cannot be encoded.
        self.untold.extend(encode(notice).unwrap_or_default());
    }

    /// If crew has gone there is nobody to be told.
    fn tell(&mut self) {
        let _ = self.control.write_all(&self.untold);
        self.untold.clear();
    }
}

/// Where the program is that will be started.
fn found(invocation: &Invocation) -> Option<PathBuf> {
    let start = invocation.cwd.as_deref().unwrap_or(Path::new("."));
    let program = Path::new(&invocation.program);
    if program.components().count() > 1 || program.has_root() {
        return Some(start.join(program));
    }
    let path = invocation.environment.iter().find(|(name, _)| name == "PATH");
    let folders = path.map(|(_, folders)| folders.as_os_str()).unwrap_or_default();
    std::env::split_paths(folders)
        .map(|folder| start.join(folder).join(program))
        .find(|path| nix::unistd::access(path, AccessFlags::X_OK).is_ok() && path.is_file())
}

fn spawn(invocation: Invocation, [stdin, stdout, stderr]: [OwnedFd; 3]) -> io::Result<Pid> {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.arguments)
        .env_clear()
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr);
    if let Some(cwd) = &invocation.cwd {
        command.current_dir(cwd);
    }
    sys::own_session(&mut command);
    if let Some(sandbox) = &invocation.sandbox {
        let program = found(&invocation);
        sys::confine(&mut command, Confinement::new(sandbox, program.as_deref())?);
    }
    // Reaped by its number, with all the others.
    let child = command.spawn()?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}
