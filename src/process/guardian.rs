//! The process that forks a reaper for each tool, and kills everything below it when crew has gone.
//!
//! Only crew holds crew's end of the socket between them, so the kernel reports crew's death at
//! once, even after SIGKILL. The guardian is an ancestor of every tool and adopts the orphans of a
//! reaper that was killed, so it finds every process. If the guardian itself is killed, crew adopts
//! its descendants and starts a new one for the next tool.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd::{ForkResult, Pid, close, dup2_stdin, getpid};

use crate::process::kill_loop::{KillTimer, kill_until_gone};
use crate::process::own_process::executable;
use crate::process::process_tree::kill_children;
use crate::process::protocol::{Notice, encode};
use crate::process::reaper;
use crate::process::sys::{self, Waiter};

/// The guardian's name in a list of processes, by which it also recognizes itself.
const NAME: &str = "crew-guardian";
/// How long killing goes on after crew has gone. The kernel needs a moment, not more.
const LAST_EFFORT: Duration = Duration::from_millis(500);

/// How a guardian ended when it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuardianExit {
    AllGone,
    /// crew adopted the processes that the guardian could not kill.
    SomeLeft,
    /// It had been killed before.
    Lost,
}

/// crew's handle of the guardian.
#[derive(Debug)]
pub struct Guardian {
    process: Child,
    socket: UnixStream,
}

impl Guardian {
    /// `open_files` is the soft limit on open files for tools; `None` leaves crew's own.
    ///
    /// # Errors
    /// The process could not be started.
    pub fn start(open_files: Option<u64>) -> io::Result<Self> {
        // In case the guardian dies before crew does.
        sys::adopt_orphans();
        let (socket, guardian_end) = UnixStream::pair()?;
        let process = Command::new(executable()?)
            .arg0(NAME)
            .args(open_files.map(|limit| limit.to_string()))
            // Other processes of the user can read the environment, so it must not contain a key.
            .env_clear()
            // A Ctrl-C on the terminal must reach only crew.
            .process_group(0)
            .stdin(OwnedFd::from(guardian_end))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("cannot start crew's guardian: {error}")))?;
        socket.set_nonblocking(true)?;
        Ok(Self { process, socket })
    }

    /// Makes the guardian fork a reaper that takes its orders from `control`, for a tool with these
    /// standard streams.
    ///
    /// # Errors
    /// The guardian has gone, or its socket is full.
    pub fn hand_over(&self, control: &UnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let [stdin, stdout, stderr] = streams.each_ref().map(AsRawFd::as_raw_fd);
        let descriptors = [control.as_raw_fd(), stdin, stdout, stderr];
        let message = [ControlMessage::ScmRights(&descriptors)];
        let socket = self.socket.as_raw_fd();
        sendmsg::<()>(socket, &[IoSlice::new(&[0])], &message, MsgFlags::empty(), None)?;
        Ok(())
    }

    /// Closes the socket, after which the guardian kills every process below it and ends. Kills the
    /// guardian if it has not ended within `limit`.
    pub async fn close(mut self, limit: Duration) -> GuardianExit {
        let was_alive = matches!(self.process.try_wait(), Ok(None));
        drop(self.socket);
        let ended = tokio::time::timeout(limit, async {
            loop {
                match self.process.try_wait() {
                    Ok(None) => tokio::time::sleep(Duration::from_millis(1)).await,
                    ended => return ended,
                }
            }
        });
        match ended.await {
            Ok(Ok(Some(_))) if !was_alive => GuardianExit::Lost,
            Ok(Ok(Some(status))) if status.success() => GuardianExit::AllGone,
            Ok(Ok(Some(_)) | Err(_)) => GuardianExit::SomeLeft,
            _ => {
                let _ = self.process.kill();
                // It returns at once, since the guardian was killed.
                let _ = self.process.wait();
                GuardianExit::SomeLeft
            }
        }
    }
}

/// Runs this process as the guardian if crew started it as one, and returns its exit code; `None`
/// if not. Call it before anything else: the guardian must have only one thread.
pub fn run_as_guardian() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    if arguments.next().is_none_or(|name| name != NAME) {
        return None;
    }
    sys::close_inherited();
    let open_files = arguments.next().and_then(|limit| limit.to_str()?.parse().ok());
    if let (Some(soft), Ok((_, hard))) = (open_files, getrlimit(Resource::RLIMIT_NOFILE)) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    Some(match Waiter::new().map(guard) {
        Ok(true) => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Forks reapers until crew has gone, then kills everything. Returns whether nothing is left.
fn guard(waiter: Waiter) -> bool {
    sys::adopt_orphans();
    let stdin = io::stdin();
    let mut reapers = BTreeSet::new();
    // Set while the orphans of a killed reaper are being killed.
    let mut killing: Option<KillTimer> = None;
    loop {
        sys::reap_all(|child, status| {
            // A reaper that exits successfully has seen its tool end completely.
            if reapers.remove(&child) && !status.success() {
                killing = Some(KillTimer::new());
            }
        });
        if killing.as_mut().is_some_and(KillTimer::is_due)
            && kill_children(getpid(), |child| !reapers.contains(&child)).is_empty()
        {
            killing = None;
        }
        if !waiter.wait(Some(stdin.as_fd()), killing.as_ref().map(KillTimer::until_next)) {
            continue;
        }
        match receive() {
            Ok(Some((control, streams))) => {
                if let Some(reaper) = fork_reaper(control, streams, &waiter) {
                    reapers.insert(reaper);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // If the socket fails, crew can no longer be seen to go.
            Ok(None) | Err(_) => return kill_until_gone(&waiter, LAST_EFFORT, None),
        }
    }
}

/// Forks a reaper. In the reaper it does not return.
#[expect(clippy::exit, reason = "a forked process has nothing to return to")]
#[expect(unsafe_code, reason = "see sys::fork_single_threaded")]
fn fork_reaper(mut control: UnixStream, streams: [OwnedFd; 3], waiter: &Waiter) -> Option<Pid> {
    // SAFETY: the guardian has one thread.
    match unsafe { sys::fork_single_threaded() } {
        Ok(ForkResult::Parent { child }) => Some(child),
        Ok(ForkResult::Child) => {
            // If a reaper held the guardian's socket, crew could not notice the guardian's death.
            match std::fs::File::open("/dev/null") {
                Ok(nothing) => drop(dup2_stdin(nothing)),
                Err(_) => drop(close(io::stdin().as_raw_fd())),
            }
            std::process::exit(if reaper::run(control, streams, waiter) { 0 } else { 1 })
        }
        Err(error) => {
            let notice = Notice::CouldNotStart { error: error as i32 };
            let _ = encode(&notice).and_then(|line| control.write_all(&line));
            None
        }
    }
}

/// Receives the socket and the standard streams for one reaper; `None` if crew has gone.
#[expect(unsafe_code, reason = "the kernel passes raw descriptors")]
fn receive() -> io::Result<Option<(UnixStream, [OwnedFd; 3])>> {
    let mut byte = [0];
    let mut iov = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([i32; 4]);
    let stdin = io::stdin().as_raw_fd();
    let message = recvmsg::<()>(stdin, &mut iov, Some(&mut space), MsgFlags::empty())?;
    if message.bytes == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel has just opened it for this process, and nothing else owns it.
    let owned = |descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) };
    let descriptors = message.cmsgs()?.flat_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors,
        _ => Vec::new(),
    });
    let descriptors: Vec<OwnedFd> = descriptors.map(owned).collect();
    for descriptor in &descriptors {
        // A tool must not inherit a socket that leads to crew.
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let [control, stdin, stdout, stderr] = descriptors
        .try_into()
        .map_err(|_some| io::Error::other("crew did not send all descriptors"))?;
    Ok(Some((control.into(), [stdin, stdout, stderr])))
}
