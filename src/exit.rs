//! The exit status: its table, its precedence, and ending by a signal.

use nix::sys::signal::{SigHandler, Signal, raise, signal};

use crate::report::{AgentReport, AgentStatus, CancelKind, RunStatus, Survivor};

/// Every agent succeeded.
pub const SUCCESS: u8 = 0;
/// Some agent failed, timed out, or was skipped or cancelled because of that.
pub const FAILURE: u8 = 1;
/// Usage or configuration: nothing ran.
pub const INVALID: u8 = 2;
/// The run ended but its report could not be written.
pub const UNREPORTED: u8 = 3;
/// The run ended but some process of a tool could not be: more than the report is amiss.
pub const SURVIVED: u8 = 3;
/// The run's own timeout.
pub const TIMEOUT: u8 = 124;
/// A shell's own rule: 128 and the signal's number.
const SIGNALLED: u8 = 128;

/// Status and exit code of a run: a survivor beats a signal beats the run's timeout beats an agent's
/// failure.
pub fn verdict(
    reason: Option<CancelKind>,
    agents: &[AgentReport],
    survivors: &[Survivor],
) -> (RunStatus, u8) {
    let (status, code) = match reason {
        Some(kind) if let Some(signal) = signal_of(kind) => {
            (RunStatus::Cancelled, SIGNALLED + signal as u8)
        }
        Some(CancelKind::Timeout) => (RunStatus::TimedOut, TIMEOUT),
        Some(CancelKind::OutputClosed) => (RunStatus::Cancelled, FAILURE),
        _ if agents.iter().all(|agent| agent.status == AgentStatus::Succeeded) => {
            (RunStatus::Succeeded, SUCCESS)
        }
        _ => (RunStatus::Failed, FAILURE),
    };
    (status, if survivors.is_empty() { code } else { SURVIVED })
}

/// The signal that cancelled a run, if it was one.
pub fn signal_of(kind: CancelKind) -> Option<Signal> {
    match kind {
        CancelKind::Hangup => Some(Signal::SIGHUP),
        CancelKind::Interrupted => Some(Signal::SIGINT),
        CancelKind::Terminated => Some(Signal::SIGTERM),
        CancelKind::ToolTimeout
        | CancelKind::AgentTimeout
        | CancelKind::AgentFailed
        | CancelKind::OutputClosed
        | CancelKind::Timeout => None,
    }
}

/// Ends this process by `signal`, as if crew had never caught it: a shell loop around crew stops
/// too. Returns only if the signal cannot be raised.
#[expect(unsafe_code, reason = "a signal's disposition can be reset no other way")]
pub fn die_by(signal_number: Signal) {
    // SAFETY: the default disposition runs no code of ours.
    if unsafe { signal(signal_number, SigHandler::SigDfl) }.is_ok() {
        let _ = raise(signal_number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survivor_beats_a_signal_beats_the_timeout_beats_a_failure() {
        for (reason, expected) in [
            (None, (RunStatus::Succeeded, 0)),
            (Some(CancelKind::OutputClosed), (RunStatus::Cancelled, 1)),
            (Some(CancelKind::Timeout), (RunStatus::TimedOut, 124)),
            (Some(CancelKind::Hangup), (RunStatus::Cancelled, 129)),
            (Some(CancelKind::Interrupted), (RunStatus::Cancelled, 130)),
            (Some(CancelKind::Terminated), (RunStatus::Cancelled, 143)),
        ] {
            assert_eq!(verdict(reason, &[], &[]), expected);
            let survivor = Survivor { pid: 7, command: "undying".into() };
            assert_eq!(verdict(reason, &[], &[survivor]), (expected.0, 3));
        }
        assert!(CancelKind::AgentFailed < CancelKind::Timeout);
        assert!(CancelKind::Timeout < CancelKind::Hangup);
    }
}
