//! The only place that listens to the operating system.
//!
//! The first signal cancels the run, the second calls off the grace, a third one all waiting; more
//! change nothing. Ctrl-C comes through `ctrlc`,
//! whose handler runs in a thread of its own; SIGTERM and SIGHUP through tokio.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{SigHandler, SigSet, Signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::cancel::Cancellation;
use crate::report::CancelKind;

/// Undoes what whoever started crew did to the signals that it relies on: to be called before
/// there is a second thread. An ignored SIGCHLD would hide the ends of children, and a signal that is
/// held back would never be heard.
#[expect(unsafe_code, reason = "a signal's disposition can be reset no other way")]
pub fn restore() {
    // SAFETY: the default disposition runs no code of ours.
    let _ = unsafe { nix::sys::signal::signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    let heard = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD];
    let _ = heard.into_iter().collect::<SigSet>().thread_unblock();
}

/// Starts to listen; must be called within a tokio runtime.
///
/// # Errors
/// A handler could not be installed.
pub fn listen(cancel: &Cancellation) -> anyhow::Result<()> {
    let heard = Arc::new(AtomicU32::new(0));
    let hear = move |cancel: &Cancellation, kind: CancelKind| {
        match heard.fetch_add(1, Ordering::Relaxed) {
            0 => {}
            1 => cancel.kill(),
            _ => cancel.abandon(),
        }
        cancel.cancel(kind);
    };
    ctrlc::set_handler({
        let (hear, cancel) = (hear.clone(), cancel.clone());
        move || hear(&cancel, CancelKind::Interrupted)
    })?;
    if !is_ignored(Signal::SIGXFSZ) {
        // Caught, it no longer kills: a file over its limit (`ulimit -f`) is a write's error.
        drop(signal(SignalKind::from_raw(Signal::SIGXFSZ as i32))?);
    }
    let mut kinds = vec![(SignalKind::terminate(), CancelKind::Terminated)];
    if !is_ignored(Signal::SIGHUP) {
        kinds.push((SignalKind::hangup(), CancelKind::Hangup));
    }
    for (signal_kind, cancel_kind) in kinds {
        let mut stream = signal(signal_kind)?;
        let (hear, cancel) = (hear.clone(), cancel.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                hear(&cancel, cancel_kind);
            }
        });
    }
    Ok(())
}

/// Whether crew was started with this signal ignored, as under nohup: then it stays ignored.
#[expect(unsafe_code, reason = "the disposition can be read no other way")]
fn is_ignored(signal: Signal) -> bool {
    // SAFETY: all zeroes is a valid `sigaction`, and a null pointer as the new action only asks.
    unsafe {
        let mut current: nix::libc::sigaction = std::mem::zeroed();
        nix::libc::sigaction(signal as i32, std::ptr::null(), &mut current) == 0
            && current.sa_sigaction == nix::libc::SIG_IGN
    }
}
