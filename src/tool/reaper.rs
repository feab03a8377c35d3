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
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, getpid};

use super::family::{self, Rounds};
use super::protocol::{Invocation, Notice, Order, encode, take};
use super::sys::{self, Reaped, Waiter};
use crate::sandbox::Confinement;

/// How often a process group that has lost its leader is looked at, where orphans are not adopted.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How long killing goes on once crew has gone. The kernel needs a moment, not more.
const LAST_EFFORT: Duration = Duration::from_millis(300);

/// Runs one tool to its very end. `control` leads to crew, `output` is the tool's.
pub fn run(control: UnixStream, output: OwnedFd, waiter: &Waiter) {
    sys::adopt_orphans();
    let mut reaper = Reaper {
        control,
        arrived: Vec::new(),
        leader: Pid::from_raw(0),
        asked: BTreeSet::new(),
        killed: BTreeSet::new(),
        killing: None,
        abandoned: None,
    };
    match reaper.start(output) {
        Ok(true) => reaper.watch(waiter),
        Ok(false) => {}
        Err(error) => reaper.tell(&Notice::CouldNotStart { error: sys::error_number(&error) }),
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
    /// False if crew has gone before it could say what to start.
    fn start(&mut self, output: OwnedFd) -> io::Result<bool> {
        let order = loop {
            match take::<Order>(&mut self.arrived) {
                Some(order) => break order,
                None if self.receive()? => {}
                None => return Ok(false),
            }
        };
        let Order::Start(invocation) = order else { return Ok(false) };
        self.leader = spawn(invocation, output)?;
        self.control.set_nonblocking(true)?;
        self.tell(&Notice::Started { reaper: getpid().as_raw() });
        Ok(true)
    }

    fn watch(&mut self, waiter: &Waiter) {
        loop {
            let left = self.reap();
            if left == Left::Nothing {
                break;
            }
            if self.abandoned.is_some_and(|since| since.elapsed() > LAST_EFFORT) {
                return;
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
        self.tell(&Notice::Gone { stopped, killed });
    }

    /// Reaps whoever has ended.
    fn reap(&mut self) -> Left {
        loop {
            match sys::reap() {
                Reaped::Child(pid, status) if pid == self.leader => {
                    self.tell(&Notice::Ended { status: status.into_raw() });
                }
                Reaped::Child(..) => {}
                Reaped::NoneYet => return Left::Children,
                Reaped::NoChildren if killpg(self.leader, None).is_ok() => return Left::Group,
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
        let killed = family::kill_all(getpid());
        if killed.is_empty() {
            let _ = killpg(self.leader, Signal::SIGKILL);
        }
        self.killed.extend(killed);
    }

    fn signal(&self, signals: &[Signal]) -> BTreeSet<Pid> {
        let reached = family::signal(getpid(), signals);
        if reached.is_empty() {
            // Where the kernel does not tell who descends from whom.
            for signal in signals {
                let _ = killpg(self.leader, *signal);
            }
        }
        reached
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

    /// If crew has gone there is nobody to be told.
    fn tell(&mut self, notice: &Notice) {
        let _ = encode(notice).and_then(|line| self.control.write_all(&line));
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

fn spawn(invocation: Invocation, output: OwnedFd) -> io::Result<Pid> {
    let mut command = Command::new(&invocation.program);
    command
        .args(&invocation.arguments)
        .env_clear()
        .envs(invocation.environment.iter().map(|(name, value)| (name, value)))
        // A tool that waits for input nobody can give would wait for ever.
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output);
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
