//! Signals that stop crew, and the one that continues it.
//!
//! The first signal cancels the run, the second ends the grace, the third ends all waiting; further
//! ones change nothing. `ctrlc` handles SIGINT in a thread of its own; tokio handles SIGTERM and
//! SIGHUP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::libc::c_int;
use nix::sys::signal::{SigHandler, SigSet, Signal};
use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};

use crate::cancel::Cancellation;
use crate::report::CancelKind;

/// The same signal within this time counts once: `timeout` signals its child and at once its whole
/// process group, which is one wish to stop.
const ECHO: Duration = Duration::from_millis(20);

/// Resets inherited signal settings that crew cannot work with: an ignored SIGCHLD would hide the
/// end of children, and a blocked signal would never arrive. Call it while there is only one
/// thread.
#[expect(unsafe_code, reason = "a signal's disposition can be reset no other way")]
pub fn restore() {
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    let needed = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD];
    let _ = needed.into_iter().collect::<SigSet>().thread_unblock();
}

/// Whether crew was continued since the last look.
static CONTINUED: AtomicBool = AtomicBool::new(false);

/// Whether crew was stopped and continued since the last call, as by Ctrl-Z and `fg`. Others have
/// used its terminal in between. Known from [`listen`] on.
pub fn was_continued() -> bool {
    CONTINUED.swap(false, Ordering::Relaxed)
}

extern "C" fn note_continued(_: c_int) {
    CONTINUED.store(true, Ordering::Relaxed);
}

/// Not through tokio: the first thing that crew writes must already know.
#[expect(unsafe_code, reason = "a handler can be installed no other way")]
fn watch_for_continue() -> nix::Result<()> {
    // SAFETY: the handler only stores to an atomic.
    unsafe { nix::sys::signal::signal(Signal::SIGCONT, SigHandler::Handler(note_continued)) }?;
    Ok(())
}

/// The signals that have arrived.
#[derive(Default)]
struct Received {
    count: u32,
    last: Option<(CancelKind, Instant)>,
}

impl Received {
    /// Counts a signal; 0 for an echo of the one before.
    fn count(&mut self, kind: CancelKind, now: Instant) -> u32 {
        let is_echo =
            self.last.is_some_and(|(last, at)| last == kind && now.duration_since(at) < ECHO);
        self.last = Some((kind, now));
        if is_echo {
            return 0;
        }
        self.count += 1;
        self.count
    }
}

/// Cancels the run when a signal arrives. Call it within a tokio runtime.
///
/// # Errors
/// A handler could not be installed.
pub fn listen(cancel: &Cancellation) -> anyhow::Result<()> {
    let received = Arc::new(Mutex::new(Received::default()));
    let handle = move |cancel: &Cancellation, kind: CancelKind| {
        match received.lock().count(kind, Instant::now()) {
            0 => return,
            1 => {}
            2 => cancel.kill(),
            _ => cancel.abandon(),
        }
        cancel.cancel(kind);
    };
    ctrlc::set_handler({
        let (handle, cancel) = (handle.clone(), cancel.clone());
        move || handle(&cancel, CancelKind::Interrupted)
    })?;
    watch_for_continue()?;
    if !is_ignored(Signal::SIGXFSZ) {
        // A handler keeps the signal from killing crew: writing beyond `ulimit -f` then fails with
        // an error.
        drop(signal(SignalKind::from_raw(Signal::SIGXFSZ as i32))?);
    }
    for ignored in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        // Batch systems send them as warnings. A handler, unlike an ignored signal, is not
        // inherited by tools.
        drop(signal(ignored)?);
    }
    let mut kinds = vec![(SignalKind::terminate(), CancelKind::Terminated)];
    if !is_ignored(Signal::SIGHUP) {
        kinds.push((SignalKind::hangup(), CancelKind::Hangup));
    }
    for (signal_kind, cancel_kind) in kinds {
        let mut stream = signal(signal_kind)?;
        let (handle, cancel) = (handle.clone(), cancel.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                handle(&cancel, cancel_kind);
            }
        });
    }
    Ok(())
}

/// Whether crew was started with this signal ignored, for example by nohup. It then stays ignored.
#[expect(unsafe_code, reason = "the disposition can be read no other way")]
fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`. A null pointer as the new action means that the
    // call only reads the current one.
    unsafe {
        let mut current: nix::libc::sigaction = std::mem::zeroed();
        nix::libc::sigaction(signal as i32, std::ptr::null(), &mut current) == 0
            && current.sa_sigaction == nix::libc::SIG_IGN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_of_a_signal_does_not_count() {
        let (mut received, start) = (Received::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for (kind, ms, count) in [
            (CancelKind::Terminated, 0, 1),
            (CancelKind::Terminated, 1, 0),
            (CancelKind::Interrupted, 2, 2),
            (CancelKind::Interrupted, 50, 3),
        ] {
            assert_eq!(received.count(kind, at(ms)), count);
        }
    }
}
