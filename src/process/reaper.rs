//! The process that runs one tool: it starts the tool, adopts the tool's orphans, stops everything
//! when crew says so or has gone, and ends when nothing is left.
//!
//! It is a fork of the guardian, with one thread and no exec. Each tool therefore costs one small
//! process more, and no process can be attributed to the wrong tool.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{AccessFlags, Pid, access, getpid};

use crate::process::kill_loop::{KillTimer, kill_until_gone};
use crate::process::process_table::GROUPS_ONLY;
use crate::process::process_tree::{kill_descendants, signal_descendants};
use crate::process::protocol::{Invocation, Notice, Order, encode, take};
use crate::process::sandbox::Confinement;
use crate::process::sys::{self, Waiter};

/// How often to check a process group whose leader has ended, where orphans are not adopted.
const GROUP_POLL: Duration = Duration::from_millis(10);
/// How long killing goes on after crew has gone. The kernel needs a moment, not more.
const LAST_EFFORT: Duration = Duration::from_millis(300);

/// Runs one tool to its end. `control` leads to crew; `streams` are the tool's standard streams.
/// Returns whether nothing of the tool is left.
pub fn run(control: UnixStream, streams: [OwnedFd; 3], waiter: &Waiter) -> bool {
    sys::adopt_orphans();
    let mut reaper = Reaper {
        control,
        unsent: Vec::new(),
        received: Vec::new(),
        leader: Pid::from_raw(0),
        signalled: BTreeSet::new(),
        killed: BTreeSet::new(),
        killing: None,
    };
    match reaper.start(streams) {
        Ok(true) => reaper.watch(waiter),
        Ok(false) => true,
        Err(error) => {
            reaper.note(&Notice::CouldNotStart { error: sys::error_number(&error) });
            reaper.send();
            true
        }
    }
}

/// The part of a tool that is still alive.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Children,
    /// Members of the process group that are not children; only where orphans are not adopted.
    Group,
    Nothing,
}

struct Reaper {
    control: UnixStream,
    /// Notices to crew that are sent together.
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// The tool's first process, which leads its session and process group.
    leader: Pid,
    /// Every process that has been sent SIGTERM.
    signalled: BTreeSet<Pid>,
    killed: BTreeSet<Pid>,
    /// Set once everything is to be killed.
    killing: Option<KillTimer>,
}

impl Reaper {
    /// Waits for the order to start and obeys it. False if crew has gone or has already sent
    /// another order: then nothing is started.
    fn start(&mut self, streams: [OwnedFd; 3]) -> io::Result<bool> {
        let order = loop {
            match take::<Order>(&mut self.received) {
                Some(order) => break order,
                None if self.receive()? => {}
                None => return Ok(false),
            }
        };
        let Order::Start(invocation) = order else { return Ok(false) };
        self.control.set_nonblocking(true)?;
        // On a busy machine the order to stop may arrive before this process first runs.
        if !self.receive()? || !self.received.is_empty() {
            return Ok(false);
        }
        self.leader = spawn(invocation, streams)?;
        self.note(&Notice::Started { reaper: getpid().as_raw(), leader: self.leader.as_raw() });
        self.send();
        Ok(true)
    }

    /// Obeys crew until nothing of the tool is left, or kills everything if crew has gone. Returns
    /// whether nothing is left.
    fn watch(&mut self, waiter: &Waiter) -> bool {
        loop {
            let left = self.reap();
            if left == Left::Nothing {
                break;
            }
            self.send();
            let limit = self.kill_if_due().or((left == Left::Group).then_some(GROUP_POLL));
            if waiter.wait(Some(self.control.as_fd()), limit) && !self.obey() {
                return kill_until_gone(waiter, LAST_EFFORT, Some(self.leader));
            }
        }
        let killed = self.killed.len() as u64;
        let stopped = self.signalled.difference(&self.killed).count() as u64;
        self.note(&Notice::Gone { stopped, killed });
        self.send();
        true
    }

    fn reap(&mut self) -> Left {
        let (leader, mut leader_status) = (self.leader, None);
        let has_children = sys::reap_all(|child, status| {
            if child == leader {
                leader_status = Some(status);
            }
        });
        if let Some(status) = leader_status {
            self.note(&Notice::Ended { status: status.into_raw() });
        }
        if has_children {
            Left::Children
        } else if GROUPS_ONLY && killpg(leader, None).is_ok() {
            Left::Group
        } else {
            Left::Nothing
        }
    }

    /// Kills everything if that has been ordered and a pass is due. Returns the time to the next
    /// pass.
    fn kill_if_due(&mut self) -> Option<Duration> {
        let timer = self.killing.as_mut()?;
        let (is_due, next) = (timer.is_due(), timer.until_next());
        if is_due {
            self.signal_group(&[Signal::SIGKILL]);
            self.killed.extend(kill_descendants(getpid()));
        }
        Some(next)
    }

    /// Reads and obeys orders. False if crew has gone.
    fn obey(&mut self) -> bool {
        if !matches!(self.receive(), Ok(true)) {
            return false;
        }
        while let Some(order) = take::<Order>(&mut self.received) {
            match order {
                Order::Start(_) => {}
                Order::Stop => {
                    // A stopped process does not handle SIGTERM until it is continued.
                    let signals = [Signal::SIGTERM, Signal::SIGCONT];
                    self.signal_group(&signals);
                    self.signalled.extend(signal_descendants(getpid(), &signals));
                }
                Order::Kill => {
                    self.killing.get_or_insert_with(KillTimer::new);
                }
            }
        }
        true
    }

    fn signal_group(&self, signals: &[Signal]) {
        if GROUPS_ONLY {
            for signal in signals {
                let _ = killpg(self.leader, *signal);
            }
        }
    }

    /// Receives what crew has sent. False at the end of the stream.
    fn receive(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        match self.control.read(&mut buffer) {
            Ok(length) => {
                self.received.extend_from_slice(&buffer[..length]);
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
        // Every notice can be encoded.
        self.unsent.extend(encode(notice).unwrap_or_default());
    }

    fn send(&mut self) {
        // If this fails, crew has gone, which the next read shows.
        let _ = self.control.write_all(&self.unsent);
        self.unsent.clear();
    }
}

/// The path of the program that will be started.
fn find_program(invocation: &Invocation) -> Option<PathBuf> {
    let start = invocation.cwd.as_deref().unwrap_or(Path::new("."));
    let program = Path::new(&invocation.program);
    if program.components().count() > 1 || program.has_root() {
        return Some(start.join(program));
    }
    let path = invocation.environment.iter().find(|(name, _)| name == "PATH");
    let folders = path.map(|(_, folders)| folders.as_os_str()).unwrap_or_default();
    std::env::split_paths(folders)
        .map(|folder| start.join(folder).join(program))
        .find(|path| access(path, AccessFlags::X_OK).is_ok() && path.is_file())
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
        let program = find_program(&invocation);
        sys::confine(&mut command, Confinement::new(sandbox, program.as_deref())?);
    }
    // It is reaped by its pid, with all other children.
    let child = command.spawn()?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}
