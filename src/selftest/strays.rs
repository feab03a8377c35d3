//! Which processes are still there, and the end of them.
//!
//! On Linux whoever is a subreaper gets every process below it that has lost its parent, however
//! that tried to escape: so nothing can be overlooked. Elsewhere the pids that the animals wrote
//! are all that is known.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// How long ending processes may take in all; the kernel needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// A process that should not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    pub pid: i32,
    pub command: String,
}

/// From now on, whatever loses its parent becomes this process's child. What is there already is
/// none of its business.
pub fn adopt_all() {
    #[cfg(target_os = "linux")]
    {
        linux::leave_alone_what_is_there();
        // Where the kernel refuses, what can be found is found.
        let _ = nix::sys::prctl::set_child_subreaper(true);
    }
}

/// The pids in an animal's den.
pub fn recorded(den: &Path) -> Vec<Pid> {
    let entries = fs::read_dir(den).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw).collect()
}

/// Kills everything that [`living`] finds, until there is nothing any more. `dens` is the folder of
/// all the dens.
pub fn end_all(dens: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let strays = living(dens);
        for stray in &strays {
            // That it has just gone is no error: it is what was wanted.
            let _ = kill(Pid::from_raw(stray.pid), Signal::SIGKILL);
        }
        reap();
        if strays.is_empty() {
            return;
        }
        sleep(POLL);
    }
}

#[cfg(target_os = "linux")]
pub use linux::{children, is_alive, living, parent, reap};

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashSet;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::OnceLock;

    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::{Pid, getpid};

    use super::Stray;

    /// A line of the kernel's table of processes.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct Entry {
        pub pid: i32,
        pub parent: i32,
        /// Has ended and waits to be reaped.
        pub zombie: bool,
    }

    /// The children that this process was started with, as in `sh -c 'job & exec crew selftest'`.
    static INHERITED: OnceLock<Vec<i32>> = OnceLock::new();

    pub fn leave_alone_what_is_there() {
        INHERITED.get_or_init(|| children(getpid()).iter().map(|child| child.pid).collect());
    }

    /// Everything alive below this process that runs this program: the animals are all crew itself,
    /// and what an inherited job leaves without a parent is adopted, too.
    pub fn living(_dens: &Path) -> Vec<Stray> {
        let inherited = INHERITED.get().map(Vec::as_slice).unwrap_or_default();
        let mut table = table();
        table.retain(|entry| !inherited.contains(&entry.pid));
        let own = program("self".to_owned());
        let below = below(getpid().as_raw(), &table).into_iter();
        let alive = below.filter(|entry| !entry.zombie && program(entry.pid.to_string()) == own);
        alive.map(|entry| stray(entry.pid)).collect()
    }

    /// Device and number of the file that a process runs.
    fn program(process: String) -> Option<(u64, u64)> {
        let file = fs::metadata(format!("/proc/{process}/exe")).ok()?;
        Some((file.dev(), file.ino()))
    }

    /// Those alive that `parent` has started or adopted.
    pub fn children(parent: Pid) -> Vec<Stray> {
        let parent = parent.as_raw();
        let is_child = |entry: &Entry| entry.parent == parent && !entry.zombie;
        table().into_iter().filter(is_child).map(|entry| stray(entry.pid)).collect()
    }

    pub fn parent(pid: Pid) -> Option<Pid> {
        entry(pid.as_raw()).map(|entry| Pid::from_raw(entry.parent))
    }

    pub fn is_alive(pid: Pid) -> bool {
        entry(pid.as_raw()).is_some_and(|entry| !entry.zombie)
    }

    /// Takes note of the end of the children that have ended, so that they go for good.
    pub fn reap() {
        let parent = getpid().as_raw();
        for ended in table().into_iter().filter(|entry| entry.parent == parent && entry.zombie) {
            let _ = waitpid(Pid::from_raw(ended.pid), Some(WaitPidFlag::WNOHANG));
        }
    }

    fn stray(pid: i32) -> Stray {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        match command.trim_end() {
            // Between two programs, or on its way out.
            "" => Stray { pid, command: name(pid) },
            command => Stray { pid, command: command.to_owned() },
        }
    }

    /// What the kernel calls it.
    fn name(pid: i32) -> String {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        format!("[{}]", name.trim_end())
    }

    fn table() -> Vec<Entry> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(entry).collect()
    }

    fn entry(pid: i32) -> Option<Entry> {
        parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (name) state parent …`, where the name may hold anything.
    pub fn parse(stat: &[u8]) -> Option<Entry> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        let pid = String::from_utf8_lossy(&stat[..name_end]);
        let rest = String::from_utf8_lossy(&stat[name_end + 1..]);
        let mut fields = rest.split_ascii_whitespace();
        Some(Entry {
            pid: pid.split(' ').next()?.parse().ok()?,
            zombie: matches!(fields.next()?, "Z" | "X"),
            parent: fields.next()?.parse().ok()?,
        })
    }

    /// Children, their children, and so on.
    pub fn below(root: i32, table: &[Entry]) -> Vec<Entry> {
        let mut known = HashSet::from([root]);
        let mut found: Vec<Entry> = Vec::new();
        loop {
            let is_new =
                |entry: &&Entry| known.contains(&entry.parent) && !known.contains(&entry.pid);
            let new: Vec<Entry> = table.iter().filter(is_new).copied().collect();
            if new.is_empty() {
                return found;
            }
            known.extend(new.iter().map(|entry| entry.pid));
            found.extend(new);
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{children, is_alive, living, parent, reap};

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::fs;
    use std::path::Path;

    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::{Stray, recorded};

    /// Those that told their pid, in the dens of this folder and the folders in it.
    pub fn living(dens: &Path) -> Vec<Stray> {
        let folders = fs::read_dir(dens).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        let mut found: Vec<Stray> = folders.iter().flat_map(|folder| living(folder)).collect();
        let alive = recorded(dens).into_iter().filter(|pid| is_alive(*pid));
        found.extend(alive.map(|pid| Stray { pid: pid.as_raw(), command: "?".to_owned() }));
        found
    }

    pub fn children(_parent: Pid) -> Vec<Stray> {
        Vec::new()
    }

    pub fn parent(_pid: Pid) -> Option<Pid> {
        None
    }

    pub fn is_alive(pid: Pid) -> bool {
        kill(pid, None).is_ok()
    }

    /// The system does so itself.
    pub fn reap() {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{Entry, below, parse};

    const fn entry(pid: i32, parent: i32, zombie: bool) -> Entry {
        Entry { pid, parent, zombie }
    }

    #[test]
    fn a_name_may_hold_anything() {
        let line = b"42 (a) Z 7 (b) S 1 42 42 0 -1";
        assert_eq!(parse(line), Some(entry(42, 1, false)));
        assert_eq!(parse(b"43 (x) Z 42 42"), Some(entry(43, 42, true)));
        assert_eq!(parse(b"44 (x"), None);
    }

    #[test]
    fn what_is_below_is_found_whatever_the_order() {
        let table = [
            entry(9, 8, false),
            entry(8, 5, true),
            entry(5, 1, false),
            entry(7, 1, false),
            entry(6, 5, false),
        ];
        let mut pids: Vec<i32> = below(5, &table).iter().map(|entry| entry.pid).collect();
        pids.sort_unstable();
        assert_eq!(pids, [6, 8, 9]);
        assert!(below(9, &table).is_empty());
    }
}
