//! The pids by which crew recognizes processes of its tools among its own children.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::{Pid, getsid};

/// The reapers and the sessions of all tools that are not yet known to have ended completely.
/// Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct LivePids(Arc<Mutex<BTreeSet<Pid>>>);

impl LivePids {
    pub fn insert(&self, pids: impl IntoIterator<Item = Pid>) {
        self.lock().extend(pids);
    }

    pub fn remove(&self, pids: impl IntoIterator<Item = Pid>) {
        let mut live = self.lock();
        for pid in pids {
            live.remove(&pid);
        }
    }

    /// Whether a process is a reaper or belongs to the session of a tool.
    pub fn covers(&self, process: Pid) -> bool {
        let live = self.lock();
        live.contains(&process)
            || getsid(Some(process)).is_ok_and(|session| live.contains(&session))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
