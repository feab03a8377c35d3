//! The processes that a case leaves behind.
//!
//! On Linux this process adopts every orphan below it, so it finds everything among its children.
//! Elsewhere only the pids that the fixtures have recorded are known.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::unistd::Pid;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{adopt_orphans, find, kill_all};
#[cfg(target_os = "linux")]
pub use linux::{adopt_orphans, find, kill_all};

/// How long killing goes on without progress. The kernel needs milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// The pids that the processes of a fixture have recorded in its folder.
pub fn recorded_pids(dir: &Path) -> Vec<Pid> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.map(Pid::from_raw).collect()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;
    use std::iter::once;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::OnceLock;

    use nix::unistd::{Pid, getpid};

    use super::PATIENCE;
    use crate::process::{self, Survivor};

    /// The children that this process was started with, as in `sh -c 'job & exec crew selftest'`.
    static INHERITED: OnceLock<Vec<Pid>> = OnceLock::new();

    /// Makes this process adopt all future orphans below it.
    pub fn adopt_orphans() {
        INHERITED.get_or_init(|| process::children(getpid()));
        process::adopt_orphans();
    }

    /// The live processes below this one that the self-test has started.
    pub fn find(_dir: &Path) -> Vec<Survivor> {
        let children = process::children(getpid()).into_iter();
        children.filter(|&child| is_ours(child)).flat_map(process::survivors).collect()
    }

    /// Kills everything that [`find`] finds until there is nothing left.
    pub async fn kill_all(_dir: &Path) {
        process::kill_children_until_gone(is_ours, PATIENCE).await;
    }

    /// Whether the self-test has started a child of this process. This process also adopts the
    /// orphans of inherited children, and recognizes its own by their program: all are crew.
    fn is_ours(child: Pid) -> bool {
        let inherited = INHERITED.get().map(Vec::as_slice).unwrap_or_default();
        let mut tree = once(child).chain(process::descendants(child));
        !inherited.contains(&child) && (inherited.is_empty() || tree.any(runs_this_program))
    }

    fn runs_this_program(pid: Pid) -> bool {
        let file = |process: &str| {
            let file = fs::metadata(format!("/proc/{process}/exe")).ok()?;
            Some((file.dev(), file.ino()))
        };
        file(&pid.to_string()).is_some_and(|other| file("self") == Some(other))
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::{PATIENCE, recorded_pids};
    use crate::process::{Survivor, is_alive};

    const PAUSE: Duration = Duration::from_millis(2);

    pub fn adopt_orphans() {}

    /// The live processes that have recorded their pids below `dir`.
    pub fn find(dir: &Path) -> Vec<Survivor> {
        let folders = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        let mut found: Vec<Survivor> = folders.iter().flat_map(|folder| find(folder)).collect();
        let alive = recorded_pids(dir).into_iter().filter(|pid| is_alive(*pid));
        found.extend(alive.map(|pid| Survivor { pid: pid.as_raw(), command: "?".to_owned() }));
        found
    }

    /// Kills everything that [`find`] finds until there is nothing left.
    pub async fn kill_all(dir: &Path) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let survivors = find(dir);
            if survivors.is_empty() {
                return;
            }
            for survivor in survivors {
                let _ = kill(Pid::from_raw(survivor.pid), Signal::SIGKILL);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
