//! The few calls to the operating system that no safe wrapper offers.
//!
//! The guardian and the reapers have one thread each and share nothing with crew: what is unsound
//! for a program with threads, such as going on after a fork, is sound for them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::select::{FdSet, pselect};
use nix::sys::signal::{
    SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{ForkResult, Pid, fork};
use std::os::fd::BorrowedFd;
use std::os::unix::process::ExitStatusExt;

use crate::process::sandbox::Confinement;

/// A child that has ended, or why there is none.
pub enum Reaped {
    Child(Pid, ExitStatus),
    /// There are children, and all of them live.
    NoneYet,
    NoChildren,
}

/// Reaps one child. Only for a process whose children are all its own business: it takes any.
#[expect(unsafe_code, reason = "nix fails on a child that a real-time signal has ended")]
pub fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: the pointer is to a local that outlives the call.
    match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
        0 => Reaped::NoneYet,
        pid if pid > 0 => Reaped::Child(Pid::from_raw(pid), ExitStatus::from_raw(status)),
        _ if Errno::last() == Errno::EINTR => Reaped::NoneYet,
        _ => Reaped::NoChildren,
    }
}

/// # Safety
/// Only in a process of one thread.
#[expect(unsafe_code, reason = "a fork is unsafe where there are threads")]
pub unsafe fn fork_single_threaded() -> nix::Result<ForkResult> {
    // SAFETY: the caller's promise.
    unsafe { fork() }
}

/// Gives a program a session of its own, so no terminal, and a process group to signal; and lets
/// it hear the signals that its reaper holds back.
#[expect(unsafe_code, reason = "only code in the child can do this")]
pub fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; these are.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            Ok(())
        });
    }
}

/// Has a program enter a sandbox before it starts, which leaves the calling process out of it.
#[expect(unsafe_code, reason = "only code in the child can do this")]
pub fn confine(command: &mut Command, confinement: Confinement) {
    let mut confinement = Some(confinement);
    // SAFETY: the child is a fork of a process with one thread, so nothing is held that it could
    // wait for.
    unsafe {
        command.pre_exec(move || confinement.take().map_or(Ok(()), Confinement::enter));
    }
}

/// Closes whatever descriptors crew was started with besides the standard three: a tool has no
/// use for them, and could keep somebody waiting for their end.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "closing a descriptor by its number")]
pub fn close_inherited() {
    // SAFETY: called before this process has opened anything of its own.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    // A kernel, or a sandbox, that does not know it.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> =
        open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        let _ = nix::unistd::close(descriptor);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn close_inherited() {}

/// What wakes the guardian and the reapers: bytes on a descriptor, or a child that has ended.
/// Every other signal that can be held back is: they end when their work does.
pub struct Waiter {
    while_waiting: SigSet,
}

impl Waiter {
    #[expect(unsafe_code, reason = "a signal handler can be installed no other way")]
    pub fn new() -> nix::Result<Self> {
        extern "C" fn only_wake(_signal: libc::c_int) {}
        let handler = SigHandler::Handler(only_wake);
        let action = SigAction::new(handler, SaFlags::SA_NOCLDSTOP, SigSet::empty());
        // SAFETY: the handler does nothing. An exec resets it.
        unsafe { sigaction(Signal::SIGCHLD, &action)? };
        let mut while_waiting = SigSet::all();
        // Held back except while waiting: none is missed between a look at the children and the wait.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&while_waiting), None)?;
        while_waiting.remove(Signal::SIGCHLD);
        Ok(Self { while_waiting })
    }

    /// Waits for bytes (or the end) on `source`, the end of a child, or the time limit. True if
    /// there is something to read.
    pub fn wait(&self, source: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> bool {
        let mut readable = FdSet::new();
        if let Some(source) = source {
            readable.insert(source);
        }
        let limit = limit.map(TimeSpec::from);
        pselect(None, &mut readable, None, None, limit.as_ref(), &self.while_waiting)
            .is_ok_and(|ready| ready > 0)
    }
}

/// From now on orphans below this process become its children instead of init's. Elsewhere than on
/// Linux there is no such thing, and what leaves its process group is lost sight of.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// The error number, for the other side of a pipe.
pub fn error_number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
