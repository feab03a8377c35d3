//! Loops that kill processes until none is left.
//!
//! They differ in what they may reap. The guardian and a reaper started all of their children and
//! reap any of them. crew has children that it did not start, so it reaps by pid.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, getpid};
use tokio::time::sleep;

use crate::process::process_table::GROUPS_ONLY;
use crate::process::process_tree::{kill_children, kill_descendants};
use crate::process::sys::{self, Waiter};

/// The pause between two passes of [`kill_children_until_gone`].
const PAUSE: Duration = Duration::from_millis(5);

/// When to kill again what is still alive. The pauses double: a killed process takes a moment to
/// disappear, and every pass over many processes takes long.
pub struct KillTimer {
    next: Instant,
    pause: Duration,
}

impl KillTimer {
    /// The first pass is due at once.
    pub fn new() -> Self {
        Self { next: Instant::now(), pause: Duration::from_millis(5) }
    }

    /// Whether a pass is due. If so, schedules the next one.
    pub fn is_due(&mut self) -> bool {
        let due = Instant::now() >= self.next;
        if due {
            self.next = Instant::now() + self.pause;
            self.pause *= 2;
        }
        due
    }

    pub fn until_next(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }
}

/// Kills everything below this process, and the process group where only groups can be stopped,
/// until nothing is left or `limit` has passed. Returns whether nothing is left. Reaps any child.
pub fn kill_until_gone(waiter: &Waiter, limit: Duration, group: Option<Pid>) -> bool {
    let group = group.filter(|_| GROUPS_ONLY);
    let (started, mut timer) = (Instant::now(), KillTimer::new());
    while started.elapsed() < limit {
        let has_children = sys::reap_all(|_child, _status| {});
        let has_group = group.is_some_and(|group| killpg(group, None).is_ok());
        if !has_children && !has_group {
            return true;
        }
        if timer.is_due() {
            if let Some(group) = group {
                let _ = killpg(group, Signal::SIGKILL);
            }
            kill_descendants(getpid());
        }
        waiter.wait(None, Some(timer.until_next()));
    }
    false
}

/// Kills the children of this process that `is_meant` selects, and everything below them, until
/// none is left. Gives up when their number has not fallen for `patience`, and returns those that
/// remain. Reaps only what it has killed.
pub async fn kill_children_until_gone(
    is_meant: impl Fn(Pid) -> bool,
    patience: Duration,
) -> Vec<Pid> {
    // The kernel needs time for hundreds of processes, but one that cannot be killed never ends.
    let (mut last_progress, mut fewest) = (Instant::now(), usize::MAX);
    loop {
        let remaining = kill_children(getpid(), &is_meant);
        if remaining.len() < fewest {
            (last_progress, fewest) = (Instant::now(), remaining.len());
        }
        if remaining.is_empty() || last_progress.elapsed() > patience {
            return remaining;
        }
        sleep(PAUSE).await;
        for child in remaining {
            let _ = waitpid(child, Some(WaitPidFlag::WNOHANG));
        }
    }
}
