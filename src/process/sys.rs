//! System calls for which there is no safe wrapper.
//!
//! The guardian and the reapers have one thread each and share no memory with crew. Calls that are
//! unsound in a program with threads, such as running code after a fork, are sound there.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
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

use crate::process::sandbox::Confinement;

/// Reaps every child that has ended and passes it to `ended`. Returns whether there are more
/// children. Reaps any child: call it only in a process that started or adopted all of them.
#[expect(unsafe_code, reason = "nix fails on a child that a real-time signal has ended")]
pub fn reap_all(mut ended: impl FnMut(Pid, ExitStatus)) -> bool {
    loop {
        let mut status = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
            0 => return true,
            pid if pid > 0 => ended(Pid::from_raw(pid), ExitStatus::from_raw(status)),
            _ => return Errno::last() == Errno::EINTR,
        }
    }
}

/// Forks this process.
///
/// # Safety
/// The process must have only one thread.
#[expect(unsafe_code, reason = "a fork is unsafe where there are threads")]
pub unsafe fn fork_single_threaded() -> nix::Result<ForkResult> {
    // SAFETY: the caller guarantees it.
    unsafe { fork() }
}

/// Starts a program in a session of its own, so without a terminal, and with no signals blocked:
/// its reaper blocks them.
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

/// Makes a program enter a sandbox before it starts. The calling process stays outside.
#[expect(unsafe_code, reason = "only code in the child can do this")]
pub fn confine(command: &mut Command, confinement: Confinement) {
    let mut confinement = Some(confinement);
    // SAFETY: the child is a fork of a process with one thread, so no other thread can hold a lock
    // that it would wait for.
    unsafe {
        command.pre_exec(move || confinement.take().map_or(Ok(()), Confinement::enter));
    }
}

/// Closes all descriptors that crew was started with, except the standard streams. A tool does not
/// need them, and would keep pipes open for as long as it runs.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "closing a descriptor by its number")]
pub fn close_inherited() {
    // SAFETY: called before this process has opened anything of its own.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    // An old kernel, or a sandbox that forbids the call.
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open: Vec<i32> =
        open.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    for descriptor in open.into_iter().filter(|&descriptor| descriptor > 2) {
        let _ = nix::unistd::close(descriptor);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn close_inherited() {}

/// Waits for bytes on a descriptor and for the end of children. Blocks every other signal that can
/// be blocked: the guardian and the reapers end only when their work is done.
pub struct Waiter {
    while_waiting: SigSet,
}

impl Waiter {
    #[expect(unsafe_code, reason = "a signal handler can be installed no other way")]
    pub fn new() -> nix::Result<Self> {
        extern "C" fn wake(_signal: libc::c_int) {}
        let handler = SigHandler::Handler(wake);
        let action = SigAction::new(handler, SaFlags::SA_NOCLDSTOP, SigSet::empty());
        // SAFETY: the handler does nothing, and an exec resets it.
        unsafe { sigaction(Signal::SIGCHLD, &action)? };
        let mut while_waiting = SigSet::all();
        // Blocked except while waiting, so no SIGCHLD is missed between a check and the wait.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&while_waiting), None)?;
        while_waiting.remove(Signal::SIGCHLD);
        Ok(Self { while_waiting })
    }

    /// Waits for bytes or the end of the stream on `source`, the end of a child, or the time limit.
    /// Returns whether `source` is readable.
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

/// Makes this process adopt orphans below it, in place of init. Only Linux can do this; where it
/// fails, a process that leaves its process group escapes.
pub fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
}

/// The `errno` value of an error, to be sent to another process.
pub fn error_number(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}
