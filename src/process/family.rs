//! Everything that descends from a process, however it tried to get away.
//!
//! A process can leave its group, its session and its parent, but not its line of descent: the
//! orphans of a subreaper's line become the subreaper's children. So whatever is to be stopped is found by
//! walking down from the process that stands at its head.

use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::report::Survivor;

/// A process that forks faster than it can be frozen is met again at the next look.
const MOST_PASSES: usize = 20;
/// Characters of a command that are shown.
const LONGEST_COMMAND: usize = 200;

/// All processes below `head` that are alive. Those that wait to be reaped are not.
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

/// When to kill again what is still there: seldom, since the dead take a moment to disappear and
/// each look costs more the more there are.
pub struct Rounds {
    next: Instant,
    pause: Duration,
}

impl Rounds {
    /// The first round is due at once.
    pub fn new() -> Self {
        Self { next: Instant::now(), pause: Duration::from_millis(5) }
    }

    /// Whether a round is due; if so, the next one is put off twice as long.
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

/// Sends the signals to every process below `head`, and to those that are started meanwhile.
/// Returns all it has reached.
pub fn signal(head: Pid, signals: &[Signal]) -> BTreeSet<Pid> {
    let mut reached = BTreeSet::new();
    for _ in 0..MOST_PASSES {
        let new: Vec<Pid> =
            descendants(head).into_iter().filter(|process| reached.insert(*process)).collect();
        if new.is_empty() {
            break;
        }
        for process in new {
            for signal in signals {
                // That it has just gone is no error: it is what was wanted.
                let _ = kill(process, *signal);
            }
        }
    }
    reached
}

/// Kills every process below `head`. All are frozen before the first one dies, so that none can
/// answer another's death with a new process.
pub fn kill_all(head: Pid) -> BTreeSet<Pid> {
    let frozen = signal(head, &[Signal::SIGSTOP]);
    for process in &frozen {
        let _ = kill(*process, Signal::SIGKILL);
    }
    frozen
}

/// Kills those children of `head` that are meant, with everything below them. Returns those it
/// found, also if all they wait for is to be reaped.
pub fn kill_children(head: Pid, meant: impl Fn(Pid) -> bool) -> Vec<Pid> {
    let found: Vec<Pid> = children(head).into_iter().filter(|&child| meant(child)).collect();
    for child in &found {
        let _ = kill(*child, Signal::SIGSTOP);
        kill_all(*child);
        let _ = kill(*child, Signal::SIGKILL);
    }
    found
}

/// A process and all below it, as far as they are alive, for a report.
pub fn survivors(head: Pid) -> Vec<Survivor> {
    let describe = |pid: Pid| Survivor { pid: pid.as_raw(), command: command(pid) };
    let line = std::iter::once(head).chain(descendants(head));
    line.filter(|&pid| is_alive(pid)).map(describe).collect()
}

/// Where the kernel does not tell who descends from whom, only process groups can be stopped.
pub const GROUPS_ONLY: bool = !cfg!(target_os = "linux");

/// Whether the system tells the children of a process at all.
pub fn can_see() -> bool {
    cfg!(target_os = "linux") && std::fs::exists("/proc/self/stat").unwrap_or(false)
}

/// The children of a process.
#[cfg(target_os = "linux")]
pub fn children(parent: Pid) -> Vec<Pid> {
    if *LISTED { listed_children(parent) } else { searched_children(parent) }
}

/// Not every kernel is built with lists of children, and some sandboxes leave them out.
#[cfg(target_os = "linux")]
static LISTED: LazyLock<bool> =
    LazyLock::new(|| std::fs::exists("/proc/thread-self/children").unwrap_or(false));

/// Those of all its threads.
#[cfg(target_os = "linux")]
fn listed_children(parent: Pid) -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{parent}/task")) else { return Vec::new() };
    let lists = threads.flatten().filter_map(|thread| {
        // None if it has gone meanwhile.
        std::fs::read_to_string(thread.path().join("children")).ok()
    });
    let parse = |list: String| {
        list.split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .map(Pid::from_raw)
            .collect::<Vec<_>>()
    };
    lists.flat_map(parse).collect()
}

/// Every process that names this one as its parent.
#[cfg(target_os = "linux")]
fn searched_children(parent: Pid) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &Pid| {
        let stat = std::fs::read(format!("/proc/{pid}/stat")).unwrap_or_default();
        parent_by(&stat) == Some(parent)
    };
    pids.map(Pid::from_raw).filter(is_child).collect()
}

#[cfg(target_os = "linux")]
fn parent_by(stat: &[u8]) -> Option<Pid> {
    fields(stat)?.nth(1)?.parse().ok().map(Pid::from_raw)
}

/// `stat` is `pid (name) state parent …`, where the name may hold anything: what follows it.
#[cfg(target_os = "linux")]
fn fields(stat: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    Some(std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace())
}

#[cfg(target_os = "linux")]
fn is_alive(pid: Pid) -> bool {
    let Ok(stat) = std::fs::read(format!("/proc/{pid}/stat")) else { return false };
    is_alive_by(&stat)
}

/// The 18th field counts the threads. A process whose first thread has ended looks like a zombie
/// while others go on.
#[cfg(target_os = "linux")]
fn is_alive_by(stat: &[u8]) -> bool {
    let Some(mut fields) = fields(stat) else { return false };
    let (state, threads) = (fields.next(), fields.nth(16).and_then(|count| count.parse().ok()));
    !matches!(state, None | Some("Z" | "X")) || threads.unwrap_or(1) > 1
}

#[cfg(target_os = "linux")]
fn command(pid: Pid) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.split(|&byte| byte == 0).map(String::from_utf8_lossy);
    let command = words.collect::<Vec<_>>().join(" ");
    command.trim_end().chars().take(LONGEST_COMMAND).collect()
}

/// Elsewhere nothing tells the children of a process.
#[cfg(not(target_os = "linux"))]
pub fn children(_parent: Pid) -> Vec<Pid> {
    Vec::new()
}

#[cfg(not(target_os = "linux"))]
fn is_alive(_pid: Pid) -> bool {
    true
}

#[cfg(not(target_os = "linux"))]
fn command(_pid: Pid) -> String {
    String::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn children_are_found_with_the_kernels_lists_and_without() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let (own, pid) = (nix::unistd::getpid(), Pid::from_raw(child.id() as i32));
        let found = [children(own), searched_children(own), listed_children(own)];
        child.kill().unwrap();
        child.wait().unwrap();
        for found in found {
            assert!(found.contains(&pid), "{found:?}");
        }
    }

    #[test]
    fn zombies_are_dead_unless_a_thread_of_theirs_goes_on() {
        let stat = |state: &str, threads: &str| {
            let line =
                format!("7 (a) Z (b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 0");
            is_alive_by(line.as_bytes())
        };
        assert!(stat("S", "1"));
        assert!(stat("T", "1"));
        assert!(!stat("Z", "1"));
        assert!(!stat("Z", "0"));
        assert!(stat("Z", "3"));
        assert!(!is_alive_by(b"nonsense"));
    }
}
