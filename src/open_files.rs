//! The limit of open files: a thousand agents need more than the 1,024 that is usual.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Raises the soft limit of this process to the hard one. Returns the soft limit it had, which is
/// what tools are to have: some programs cannot cope with more.
pub fn raise() -> Option<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // Where that is refused, calls beyond the limit fail one by one, each with its error.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    Some(soft)
}
