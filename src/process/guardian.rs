//! One process for a run, started with its first tool: it forks a reaper for each tool, and when
//! crew has gone, however that came about, it kills whatever is left below it.
//!
//! crew's end of the socket between them is held by crew alone, so the kernel tells of crew's death at once,
//! also after SIGKILL. The guardian is an ancestor of every tool and adopts the orphans of a
//! reaper that was killed, so nothing can be started that it would not find. If it is killed itself,
//! crew adopts in its stead, and the next tool gets a new one.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::unistd::{ForkResult, Pid, close, dup2_stdin, getpid};

use crate::process::family;
use crate::process::family::Rounds;
use crate::process::protocol::{Notice, encode};
use crate::process::reaper;
use crate::process::sys;
use crate::process::sys::{Reaped, Waiter};

/// What the guardian is called in a list of processes, and how it knows that it is one.
const NAME: &str = "crew-guardian";
/// How long killing goes on once crew has gone. The kernel needs a moment, not more.
const LAST_EFFORT: Duration = Duration::from_millis(500);

/// How a guardian was found when it was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dismissal {
    AllGone,
    /// What it could not end is crew's child now.
    SomeLeft,
    /// It had been killed before.
    Lost,
}

/// crew's side of it.
#[derive(Debug)]
pub struct Guardian {
    process: Child,
    socket: UnixStream,
}

impl Guardian {
    /// `open_files` is the soft limit that tools are to have; `None`: crew's own.
    ///
    /// # Errors
    /// It could not be started.
    pub fn start(open_files: Option<u64>) -> io::Result<Self> {
        // In case the guardian dies before crew does.
        sys::adopt_orphans();
        let (socket, theirs) = UnixStream::pair()?;
        let process = Command::new(own_program()?)
            .arg0(NAME)
            .args(open_files.map(|limit| limit.to_string()))
            // Any process of the user's may read a process's environment: no key is in this one.
            .env_clear()
            // Ctrl-C on a terminal is crew's business.
            .process_group(0)
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| io::Error::other(format!("crew's guardian did not start: {error}")))?;
        socket.set_nonblocking(true)?;
        Ok(Self { process, socket })
    }

    /// Has a reaper forked that takes its orders from `control`, for a tool with these standard
    /// streams.
    ///
    /// # Errors
    /// The guardian is gone, or so far behind that its socket takes no more.
    pub fn hand_over(&self, control: &UnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let [stdin, stdout, stderr] = streams.each_ref().map(AsRawFd::as_raw_fd);
        let descriptors = [control.as_raw_fd(), stdin, stdout, stderr];
        let message = [ControlMessage::ScmRights(&descriptors)];
        let socket = self.socket.as_raw_fd();
        sendmsg::<()>(socket, &[IoSlice::new(&[0])], &message, MsgFlags::empty(), None)?;
        Ok(())
    }

    /// Lets go of it, upon which it kills whatever is left and ends; kills it if it does not within
    /// `limit`.
    pub async fn dismiss(mut self, limit: Duration) -> Dismissal {
        let was_there = matches!(self.process.try_wait(), Ok(None));
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
            Ok(Ok(Some(_))) if !was_there => Dismissal::Lost,
            Ok(Ok(Some(status))) if status.success() => Dismissal::AllGone,
            Ok(Ok(Some(_)) | Err(_)) => Dismissal::SomeLeft,
            _ => {
                let _ = self.process.kill();
                // At once: it was killed.
                let _ = self.process.wait();
                Dismissal::SomeLeft
            }
        }
    }
}

/// The program that runs, also if its file has been replaced meanwhile.
fn own_program() -> io::Result<std::path::PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// Makes this process the guardian if it was started as one; to be asked before anything else is
/// done. `None` if it was not, else how it ended.
pub fn take_over() -> Option<std::process::ExitCode> {
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
        Ok(true) => std::process::ExitCode::SUCCESS,
        _ => std::process::ExitCode::FAILURE,
    })
}

/// Serves until crew has gone. True if nothing is left.
fn guard(waiter: Waiter) -> bool {
    sys::adopt_orphans();
    let stdin = io::stdin();
    let mut reapers = BTreeSet::new();
    // Of a reaper that was killed, while they are being killed.
    let mut orphans: Option<Rounds> = None;
    loop {
        while let Reaped::Child(pid, status) = sys::reap() {
            // One that ended well has seen all of its tool go.
            if reapers.remove(&pid) && !status.success() {
                orphans = Some(Rounds::new());
            }
        }
        if orphans.as_mut().is_some_and(Rounds::is_due)
            && family::kill_children(getpid(), |child| !reapers.contains(&child)).is_empty()
        {
            orphans = None;
        }
        if !waiter.wait(Some(stdin.as_fd()), orphans.as_ref().map(Rounds::until_next)) {
            continue;
        }
        match receive() {
            Ok(Some((control, streams))) => {
                if let Some(reaper) = fork_reaper(control, streams, &waiter) {
                    reapers.insert(reaper);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Of a socket that does not work crew may have gone as well.
            Ok(None) | Err(_) => return kill_everything(&waiter),
        }
    }
}

/// Forks a reaper; in the reaper itself this never returns.
#[expect(clippy::exit, reason = "a forked process has nothing to return to")]
#[expect(unsafe_code, reason = "see sys::fork_single_threaded")]
fn fork_reaper(mut control: UnixStream, streams: [OwnedFd; 3], waiter: &Waiter) -> Option<Pid> {
    // SAFETY: the guardian has one thread.
    match unsafe { sys::fork_single_threaded() } {
        Ok(ForkResult::Parent { child }) => Some(child),
        Ok(ForkResult::Child) => {
            // As long as a reaper held the guardian's socket, crew could not see the guardian die.
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

/// What one reaper needs; `None` when crew has gone.
#[expect(unsafe_code, reason = "the kernel hands over bare descriptors")]
fn receive() -> io::Result<Option<(UnixStream, [OwnedFd; 3])>> {
    let mut byte = [0];
    let mut iov = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([i32; 4]);
    let stdin = io::stdin().as_raw_fd();
    let message = recvmsg::<()>(stdin, &mut iov, Some(&mut space), MsgFlags::empty())?;
    if message.bytes == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel has just made them for this process, and nothing else knows them.
    let owned = |descriptor| unsafe { OwnedFd::from_raw_fd(descriptor) };
    let descriptors = message.cmsgs()?.flat_map(|message| match message {
        ControlMessageOwned::ScmRights(descriptors) => descriptors,
        _ => Vec::new(),
    });
    let descriptors: Vec<OwnedFd> = descriptors.map(owned).collect();
    for descriptor in &descriptors {
        // A tool must not inherit what leads to crew.
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let [control, stdin, stdout, stderr] = descriptors
        .try_into()
        .map_err(|_some| io::Error::other("crew sent not all descriptors"))?;
    Ok(Some((control.into(), [stdin, stdout, stderr])))
}

/// The last thing done. Where the kernel does not tell who descends from whom, the reapers do this
/// by themselves when crew has gone, and are only waited for.
fn kill_everything(waiter: &Waiter) -> bool {
    let (started, mut rounds) = (Instant::now(), Rounds::new());
    while started.elapsed() < LAST_EFFORT {
        loop {
            match sys::reap() {
                Reaped::Child(..) => {}
                Reaped::NoChildren => return true,
                Reaped::NoneYet => break,
            }
        }
        if rounds.is_due() {
            family::kill_all(getpid());
        }
        waiter.wait(None, Some(rounds.until_next()));
    }
    false
}
