//! A process and everything below it: found, signalled and killed as a whole.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::process::process_table::{children, command, is_alive};

/// How often the tree is searched again for processes that were forked during the last search.
const MAX_PASSES: usize = 20;

/// A process that is alive although it should not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    pub pid: i32,
    pub command: String,
}

/// The live processes below `head`, without `head` itself.
pub fn descendants(head: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut open = vec![head];
    while let Some(parent) = open.pop() {
        let children = children(parent);
        open.extend(&children);
        found.extend(children.into_iter().filter(|&child| is_alive(child)));
    }
    found
}

/// `head` and the processes below it, as far as they are alive.
pub fn survivors(head: Pid) -> Vec<Survivor> {
    let tree = std::iter::once(head).chain(descendants(head));
    let describe = |pid: Pid| Survivor { pid: pid.as_raw(), command: command(pid) };
    tree.filter(|&pid| is_alive(pid)).map(describe).collect()
}

/// Sends the signals to every process below `head`, including those that are forked meanwhile.
/// Returns the processes that were reached.
pub fn signal_descendants(head: Pid, signals: &[Signal]) -> BTreeSet<Pid> {
    let mut reached = BTreeSet::new();
    for _ in 0..MAX_PASSES {
        let new: Vec<Pid> =
            descendants(head).into_iter().filter(|process| reached.insert(*process)).collect();
        if new.is_empty() {
            break;
        }
        for process in new {
            for signal in signals {
                // It may just have ended, which is not an error.
                let _ = kill(process, *signal);
            }
        }
    }
    reached
}

/// Kills every process below `head` and returns them. All are stopped before the first one dies,
/// so none can react to the death of another by forking.
pub fn kill_descendants(head: Pid) -> BTreeSet<Pid> {
    let stopped = signal_descendants(head, &[Signal::SIGSTOP]);
    for process in &stopped {
        let _ = kill(*process, Signal::SIGKILL);
    }
    stopped
}

/// Kills the children of `head` that `is_meant` selects, and everything below them. Returns those
/// children, including any that have ended and wait to be reaped.
pub fn kill_children(head: Pid, is_meant: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let found: Vec<Pid> = children(head).into_iter().filter(|&child| is_meant(child)).collect();
    for child in &found {
        let _ = kill(*child, Signal::SIGSTOP);
        kill_descendants(*child);
        let _ = kill(*child, Signal::SIGKILL);
    }
    found
}
