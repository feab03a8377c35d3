//! What crew sets for its own process: the limit of open files, and that no other process reads its memory.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one. Returns the soft limit it had, which is
/// what tools are to have: some programs cannot cope with more.
pub fn raise_open_files() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Where that is refused, calls beyond the limit fail one by one, each with its error.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    Some(soft)
}

/// From now on no other process of the same user may look into this one: its environment holds keys, and a
/// tool that runs as the user could read them in /proc. Root can all the same.
pub fn keep_private() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}
