//! The kernel's table of processes, read from /proc: parents, children, state and command lines.
//!
//! Only Linux has it. Elsewhere no process has known children.

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{children, command, is_alive, parent};
#[cfg(target_os = "linux")]
pub use linux::{children, command, is_alive, parent};

/// Whether only process groups can be stopped, because the system does not list children.
pub const GROUPS_ONLY: bool = !cfg!(target_os = "linux");

/// Whether the table can be read.
pub fn is_readable() -> bool {
    cfg!(target_os = "linux") && std::fs::exists("/proc/self/stat").unwrap_or(false)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::sync::LazyLock;

    use nix::unistd::Pid;

    use crate::text::truncate;

    /// The length to which a command line is cut, in characters.
    const MAX_COMMAND: usize = 200;

    /// Whether the kernel lists the children of a process: not every kernel is built to, and some
    /// sandboxes hide the lists.
    static HAS_LISTS: LazyLock<bool> =
        LazyLock::new(|| fs::exists("/proc/thread-self/children").unwrap_or(false));

    /// The children of a process, including those that have ended and wait to be reaped.
    pub fn children(parent: Pid) -> Vec<Pid> {
        if *HAS_LISTS { listed_children(parent) } else { searched_children(parent) }
    }

    /// Reads the list of each thread. A thread that has just ended has no list.
    fn listed_children(parent: Pid) -> Vec<Pid> {
        let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        let lists =
            threads.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let parse = |list: String| {
            let pids = list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok());
            pids.map(Pid::from_raw).collect::<Vec<_>>()
        };
        lists.flat_map(parse).collect()
    }

    /// Searches all processes for those with this parent.
    fn searched_children(parent: Pid) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let is_child = |pid: &Pid| self::parent(*pid) == Some(parent);
        pids.map(Pid::from_raw).filter(is_child).collect()
    }

    /// The parent of a process; `None` if the process does not exist.
    pub fn parent(pid: Pid) -> Option<Pid> {
        fields(&stat(pid))?.nth(1)?.parse().ok().map(Pid::from_raw)
    }

    /// Whether a process exists and has not ended.
    pub fn is_alive(pid: Pid) -> bool {
        is_alive_in(&stat(pid))
    }

    /// The 18th field is the number of threads. A process whose first thread has ended looks like a
    /// zombie even if other threads still run.
    fn is_alive_in(stat: &[u8]) -> bool {
        let Some(mut fields) = fields(stat) else { return false };
        let (state, threads) = (fields.next(), fields.nth(16).and_then(|count| count.parse().ok()));
        !matches!(state, None | Some("Z" | "X")) || threads.unwrap_or(1) > 1
    }

    /// The contents of /proc/PID/stat; empty if the process does not exist.
    fn stat(pid: Pid) -> Vec<u8> {
        fs::read(format!("/proc/{pid}/stat")).unwrap_or_default()
    }

    /// The fields after the name in `pid (name) state parent …`. The name may contain anything.
    fn fields(stat: &[u8]) -> Option<impl Iterator<Item = &str>> {
        let name_end = stat.iter().rposition(|&byte| byte == b')')?;
        Some(std::str::from_utf8(&stat[name_end + 1..]).ok()?.split_ascii_whitespace())
    }

    /// The command line of a process, or the kernel's name for it if there is none: a process that
    /// is about to exec or to end has none.
    pub fn command(pid: Pid) -> String {
        let read = |file| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let command = match command.trim_end() {
            "" => format!("[{}]", String::from_utf8_lossy(&read("comm")).trim_end()),
            command => command.to_owned(),
        };
        truncate(command, MAX_COMMAND)
    }

    #[cfg(test)]
    #[allow(clippy::unwrap_used)]
    mod tests {
        use super::*;

        #[test]
        fn children_are_found_with_and_without_the_kernels_lists() {
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            let (own, pid) = (nix::unistd::getpid(), Pid::from_raw(child.id() as i32));
            let found = [children(own), searched_children(own), listed_children(own)];
            let parent = parent(pid);
            child.kill().unwrap();
            child.wait().unwrap();
            for found in found {
                assert!(found.contains(&pid), "{found:?}");
            }
            assert_eq!(parent, Some(own));
        }

        #[test]
        fn a_zombie_is_dead_unless_one_of_its_threads_runs() {
            let stat = |state: &str, threads: &str| {
                let line = format!(
                    "7 (a) Z (b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 0"
                );
                is_alive_in(line.as_bytes())
            };
            assert!(stat("S", "1"));
            assert!(stat("T", "1"));
            assert!(!stat("Z", "1"));
            assert!(!stat("Z", "0"));
            assert!(stat("Z", "3"));
            assert!(!is_alive_in(b"nonsense"));
            assert!(!is_alive_in(b"44 (x"));
        }

        #[test]
        fn a_name_may_contain_anything() {
            let parent = |stat: &'static [u8]| fields(stat).and_then(|mut fields| fields.nth(1));
            assert_eq!(parent(b"42 (a) Z 7 (b) S 1 42 42 0 -1"), Some("1"));
            assert_eq!(parent(b"43 (x) Z 42 42"), Some("42"));
            assert_eq!(parent(b"44 (x"), None);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    pub fn children(_parent: Pid) -> Vec<Pid> {
        Vec::new()
    }

    pub fn parent(_pid: Pid) -> Option<Pid> {
        None
    }

    pub fn is_alive(pid: Pid) -> bool {
        kill(pid, None).is_ok()
    }

    pub fn command(_pid: Pid) -> String {
        String::new()
    }
}
