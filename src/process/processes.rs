//! The guardian and everything below it, which outlive a run.
//!
//! One guardian serves every run of a crew process. The part that belongs to a single run (its
//! grace, its cancellation, its counts) is in [`RunProcesses`](crate::process::RunProcesses).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::unistd::{Pid, getpid};
use parking_lot::Mutex;
use tokio::net::UnixStream;

use crate::process::guardian::{Guardian, GuardianExit};
use crate::process::kill_loop::kill_children_until_gone;
use crate::process::live_pids::LivePids;
use crate::process::process_table::{self, GROUPS_ONLY};
use crate::process::process_tree::{Survivor, survivors};
use crate::process::protocol::Invocation;
use crate::process::tool_process::{Captured, ToolProcess};

/// How long the guardian may take to end once its socket is closed.
const GUARDIAN_EXIT: Duration = Duration::from_millis(100);
/// How long crew goes on killing adopted processes while their number does not fall.
const ADOPTED_EXIT: Duration = Duration::from_millis(100);

/// The result of [`Processes::close`].
#[derive(Debug, Default)]
pub struct CleanupOutcome {
    /// The processes that could not be killed.
    pub survivors: Vec<Survivor>,
    /// Something other than crew killed the guardian.
    pub guardian_lost: bool,
}

/// The guardian and every process below it.
#[derive(Debug)]
pub struct Processes {
    /// The soft limit on open files for tools; `None` leaves crew's own.
    open_files: Option<u64>,
    guardian: Mutex<Option<Guardian>>,
    guardian_lost: AtomicBool,
    /// The children that crew had when it started the first guardian. crew inherited them from the
    /// program that it replaced, and leaves them alone.
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

    /// Starts a process with these standard streams. Keeps what arrives through `captured`.
    ///
    /// # Errors
    /// There are too few descriptors, or the guardian could not be started.
    pub(super) fn launch(
        &self,
        invocation: Invocation,
        streams: [OwnedFd; 3],
        captured: Captured,
    ) -> io::Result<ToolProcess> {
        let (control, reaper_end) = StdUnixStream::pair()?;
        control.set_nonblocking(true)?;
        self.hand_over(&reaper_end, &streams)?;
        let control = UnixStream::from_std(control)?;
        ToolProcess::new(control, invocation, captured, self.live.clone())
    }

    /// Passes a tool's descriptors to the guardian. Starts one if there is none or it has died.
    fn hand_over(&self, control: &StdUnixStream, streams: &[OwnedFd; 3]) -> io::Result<()> {
        let mut guardian = self.guardian.lock();
        if let Some(current) = &*guardian {
            match current.hand_over(control, streams) {
                Err(error) if is_gone(&error) => self.guardian_lost.store(true, Ordering::Relaxed),
                done => return done,
            }
        }
        self.inherited.get_or_init(|| process_table::children(getpid()).into_iter().collect());
        let current = guardian.insert(Guardian::start(self.open_files)?);
        current.hand_over(control, streams)
    }

    /// Ends the guardian and kills every process that is still alive. Call it while no run is in
    /// progress. Takes at most a fifth of a second.
    pub async fn close(&self) -> CleanupOutcome {
        let guardian = self.guardian.lock().take();
        let Some(guardian) = guardian else { return CleanupOutcome::default() };
        let exit = guardian.close(GUARDIAN_EXIT).await;
        let was_lost = self.guardian_lost.swap(false, Ordering::Relaxed);
        let guardian_lost = was_lost || exit == GuardianExit::Lost;
        let survivors = match exit {
            GuardianExit::AllGone if !guardian_lost => Vec::new(),
            _ => self.kill_adopted().await,
        };
        CleanupOutcome { survivors, guardian_lost }
    }

    /// Kills the processes that crew adopted when its guardian died. Returns those still alive.
    async fn kill_adopted(&self) -> Vec<Survivor> {
        let Some(inherited) = self.inherited.get() else { return Vec::new() };
        if !GROUPS_ONLY && !process_table::is_readable() {
            let command = "unknown: cannot read the list of processes in /proc".to_owned();
            return vec![Survivor { pid: 0, command }];
        }
        // crew also adopts the orphans of inherited children. If there are inherited children, it
        // kills only those processes that it can recognize as a tool's.
        let is_tools = |child: Pid| {
            !inherited.contains(&child) && (inherited.is_empty() || self.live.covers(child))
        };
        let remaining = kill_children_until_gone(is_tools, ADOPTED_EXIT).await;
        remaining.into_iter().flat_map(survivors).collect()
    }
}

/// Whether an error of the guardian's socket means that the guardian has died.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
