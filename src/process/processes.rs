//! The processes that crew has started and not yet seen end, and the guardian above them.
//!
//! This outlives a run: one guardian serves every run of a crew process. What belongs to one run
//! (its grace, its cancellation, its counts) is in [`RunProcesses`].

use std::collections::BTreeSet;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{Instant, sleep};

use crate::cancel::Cancellation;
use crate::process::family;
use crate::process::guardian::{Dismissal, Guardian};
use crate::process::line::{Line, LivePids};
use crate::process::protocol::Invocation;
use crate::process::run_processes::RunProcesses;
use crate::report::Survivor;

/// How long the guardian may take to end once its socket is closed.
const GUARDIAN_EXIT: Duration = Duration::from_millis(100);
/// How long crew goes on killing the processes it had to adopt while their number does not fall,
/// and how often it tries.
const SWEPT: Duration = Duration::from_millis(100);
const SWEEP_AGAIN: Duration = Duration::from_millis(5);

/// The result of [`Processes::close`].
#[derive(Debug, Default)]
pub struct CleanupOutcome {
    /// Processes that could not be killed.
    pub survivors: Vec<Survivor>,
    /// Something other than crew killed the guardian.
    pub guardian_lost: bool,
}

/// The guardian and every live process below it.
#[derive(Debug)]
pub struct Processes {
    /// The soft limit on open files for tools; `None` leaves crew's own.
    open_files: Option<u64>,
    guardian: Mutex<Option<Guardian>>,
    guardian_lost: AtomicBool,
    /// crew's children when the first guardian was started. crew did not start them and never
    /// kills them.
    inherited: OnceLock<BTreeSet<Pid>>,
    live: LivePids,
}

impl Processes {
    /// `open_files` is the soft limit on open files for tools; `None` leaves crew's own. The
    /// guardian is started with the first tool.
    pub fn new(open_files: Option<u64>) -> Self {
        Self {
            open_files,
            guardian: Mutex::default(),
            guardian_lost: AtomicBool::new(false),
            inherited: OnceLock::new(),
            live: LivePids::default(),
        }
    }

    /// The processes of one run. Tools get `grace` to end after SIGTERM, unless a kill of `cancel`
    /// ends it early.
    pub fn for_run(self: &Arc<Self>, cancel: Cancellation, grace: Duration) -> RunProcesses {
        RunProcesses::new(self.clone(), cancel, grace)
    }

    /// Starts a process with these standard streams, and captures up to `limit` bytes from
    /// `captured`.
    pub(super) fn launch(
        &self,
        invocation: Invocation,
        streams: [OwnedFd; 3],
        captured: PipeReader,
        limit: usize,
    ) -> io::Result<Line> {
        let (control, theirs) = StdUnixStream::pair()?;
        control.set_nonblocking(true)?;
        self.hand_over(&theirs, &streams)?;
        let captured = pipe::Receiver::from_owned_fd(captured.into())?;
        let control = UnixStream::from_std(control)?;
        Line::new(control, invocation, captured, limit, self.live.clone())
    }

    /// Passes a tool's descriptors to the guardian, starting one if there is none or it has died.
    fn hand_over(&self, control: &StdUnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let mut guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &*guardian {
            match current.hand_over(control, streams) {
                Err(error) if is_gone(&error) => self.guardian_lost.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        self.inherited.get_or_init(|| family::children(getpid()).into_iter().collect());
        let current = guardian.insert(Guardian::start(self.open_files)?);
        current.hand_over(control, streams)
    }

    /// Ends the guardian and kills every process that is still alive. Call it while no run is in
    /// progress. Takes at most a fifth of a second.
    pub async fn close(&self) -> CleanupOutcome {
        let guardian = self.guardian.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(guardian) = guardian else { return CleanupOutcome::default() };
        let exit = guardian.dismiss(GUARDIAN_EXIT).await;
        let was_lost = self.guardian_lost.swap(false, Ordering::Relaxed);
        let guardian_lost = was_lost || exit == Dismissal::Lost;
        let survivors = match exit {
            Dismissal::AllGone if !guardian_lost => Vec::new(),
            _ => self.sweep().await,
        };
        CleanupOutcome { survivors, guardian_lost }
    }

    /// Kills what crew has adopted because its guardian was killed, or could not end.
    async fn sweep(&self) -> Vec<Survivor> {
        let Some(inherited) = self.inherited.get() else { return Vec::new() };
        if !family::GROUPS_ONLY && !family::can_see() {
            let command = "unknown: the list of processes in /proc can't be read".to_owned();
            return vec![Survivor { pid: 0, command }];
        }
        // What such children leave without a parent is adopted as well: then only those processes
        // are a tool's that can be told to be.
        let is_tools = |child: Pid| {
            !inherited.contains(&child) && (inherited.is_empty() || self.live.holds(child))
        };
        let (mut last_progress, mut fewest) = (Instant::now(), usize::MAX);
        loop {
            let strays = family::kill_children(getpid(), is_tools);
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
}

/// Whether an error of the guardian's socket means that it has died.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
