//! crew's own process: its program, its limit on open files and its protection from inspection.

use std::io;
use std::path::PathBuf;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The running program. On Linux it is found even if its file has been replaced.
///
/// # Errors
/// The system cannot tell.
pub fn executable() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() }
}

/// The most descriptors that macOS grants (`OPEN_MAX`), also where the hard limit is infinite.
const OPEN_MAX: u64 = 10_240;

/// Raises this process's soft limit on open files to the hard limit. Returns the previous soft
/// limit, which tools get: some programs cannot cope with more.
pub fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let raise = |soft: u64| setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    // If this fails, each call beyond the limit fails with an error of its own.
    let _ = raise(hard).or_else(|_| raise(hard.min(OPEN_MAX).max(soft)));
    Some(soft)
}

/// Prevents other processes of the same user from reading this one's memory and environment. The
/// environment holds API keys, which a tool could otherwise read in /proc. Root still can.
pub fn forbid_inspection() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}
