//! The pids by which crew recognizes processes of its tools among its own children.

use std::collections::BTreeSet;
use std::sync::Arc;

use nix::unistd::{Pid, getsid};
use parking_lot::Mutex;

/// The reapers and the sessions of all tools that are not yet known to have ended completely.
/// Clones share one set.
#[derive(Debug, Clone, Default)]
pub struct LivePids(Arc<Mutex<BTreeSet<Pid>>>);

impl LivePids {
    pub fn insert(&self, pids: impl IntoIterator<Item = Pid>) {
        self.0.lock().extend(pids);
    }

    pub fn remove(&self, pids: impl IntoIterator<Item = Pid>) {
        let mut live = self.0.lock();
        for pid in pids {
            live.remove(&pid);
        }
    }

    /// Whether a process is a reaper or belongs to the session of a tool.
    pub fn covers(&self, process: Pid) -> bool {
        let live = self.0.lock();
        live.contains(&process)
            || getsid(Some(process)).is_ok_and(|session| live.contains(&session))
    }
}
