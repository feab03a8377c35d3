//! The exit status: what each means, which takes precedence, and how crew ends by a signal.

use std::io;
use std::process::ExitCode;

use nix::sys::signal::{SigHandler, Signal, raise, signal};

use crate::report::{AgentReport, CancelKind, FailIfReport, Report, RunStatus, Survivor};

/// A shell's own rule: 128 and the signal's number.
const SIGNALLED: u8 = 128;

/// How crew ends. Two different endings share the number 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Every agent succeeded, or was skipped by a condition.
    Success,
    /// An agent failed, timed out, or was skipped or cancelled because another one did.
    Failure,
    /// The command line or the crew file is invalid. Nothing ran.
    Invalid,
    /// The run ended, but its report was not written.
    Unreported,
    /// The run ended, but crew could not kill every process of its tools.
    Survivors,
    /// Every agent ended well, but the crew's `fail_if` holds.
    FailIf,
    /// The run reached its own time limit.
    TimedOut,
    /// The batch was asked to stop and has work left.
    Drained,
    Signalled(Signal),
}

impl ExitStatus {
    /// After printing a text that can be printed again: a closed reader, as of `| head`, is no
    /// failure.
    pub fn of_print(printed: io::Result<()>) -> Self {
        match printed {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Self::Unreported,
            _ => Self::Success,
        }
    }

    /// The status of a run whose report was written.
    pub fn of(report: &Report) -> Self {
        let reason = report.reason.as_ref().map(|reason| reason.kind);
        verdict(reason, &report.agents, report.fail_if.as_ref(), &report.cleanup.survivors).1
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Invalid => 2,
            Self::Unreported | Self::Survivors => 3,
            Self::FailIf => 4,
            Self::Drained => 75,
            Self::TimedOut => 124,
            Self::Signalled(signal) => SIGNALLED + signal as u8,
        }
    }

    /// The exit code for `main` to return. A signal ends this process here, as if crew had never
    /// caught it: a shell loop around crew stops too.
    pub fn end(self) -> ExitCode {
        if let Self::Signalled(signal) = self {
            die_by(signal);
        }
        ExitCode::from(self.code())
    }
}

/// The status of a run for its report and for crew itself. A survivor takes precedence over a
/// signal, a signal over the run's timeout, and that over the failure of an agent. A `fail_if` that
/// cannot be evaluated is a failure.
pub fn verdict(
    reason: Option<CancelKind>,
    agents: &[AgentReport],
    fail_if: Option<&FailIfReport>,
    survivors: &[Survivor],
) -> (RunStatus, ExitStatus) {
    let (status, exit) = match reason {
        Some(kind) if let Some(signal) = signal_of(kind) => {
            (RunStatus::Cancelled, ExitStatus::Signalled(signal))
        }
        Some(CancelKind::Timeout) => (RunStatus::TimedOut, ExitStatus::TimedOut),
        Some(CancelKind::OutputClosed | CancelKind::Drained) => {
            (RunStatus::Cancelled, ExitStatus::Failure)
        }
        _ if agents.iter().all(AgentReport::ended_well) => match fail_if {
            Some(FailIfReport { holds: Some(true), .. }) => (RunStatus::Failed, ExitStatus::FailIf),
            Some(FailIfReport { error: Some(_), .. }) => (RunStatus::Failed, ExitStatus::Failure),
            _ => (RunStatus::Succeeded, ExitStatus::Success),
        },
        _ => (RunStatus::Failed, ExitStatus::Failure),
    };
    (status, if survivors.is_empty() { exit } else { ExitStatus::Survivors })
}

/// The signal that cancelled a run, if one did.
pub fn signal_of(kind: CancelKind) -> Option<Signal> {
    match kind {
        CancelKind::Hangup => Some(Signal::SIGHUP),
        CancelKind::Interrupted => Some(Signal::SIGINT),
        CancelKind::Terminated => Some(Signal::SIGTERM),
        CancelKind::ToolTimeout
        | CancelKind::AgentTimeout
        | CancelKind::When
        | CancelKind::AgentFailed
        | CancelKind::FailIf
        | CancelKind::OutputClosed
        | CancelKind::Drained
        | CancelKind::Timeout => None,
    }
}

/// Returns only if the signal cannot be raised.
#[expect(unsafe_code, reason = "a signal's disposition can be reset no other way")]
fn die_by(signal_number: Signal) {
    // SAFETY: the default disposition runs no code of ours.
    if unsafe { signal(signal_number, SigHandler::SigDfl) }.is_ok() {
        let _ = raise(signal_number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survivors_take_precedence_over_signals_timeouts_and_failures() {
        for (reason, status, code) in [
            (None, RunStatus::Succeeded, 0),
            (Some(CancelKind::OutputClosed), RunStatus::Cancelled, 1),
            (Some(CancelKind::Timeout), RunStatus::TimedOut, 124),
            (Some(CancelKind::Hangup), RunStatus::Cancelled, 129),
            (Some(CancelKind::Interrupted), RunStatus::Cancelled, 130),
            (Some(CancelKind::Terminated), RunStatus::Cancelled, 143),
        ] {
            let found = verdict(reason, &[], None, &[]);
            assert_eq!((found.0, found.1.code()), (status, code));
            let survivor = Survivor { pid: 7, command: "undying".into() };
            assert_eq!(verdict(reason, &[], None, &[survivor]), (status, ExitStatus::Survivors));
        }
        assert_eq!(ExitStatus::Survivors.code(), 3);
        assert!(CancelKind::AgentFailed < CancelKind::Timeout);
        assert!(CancelKind::Timeout < CancelKind::Hangup);
    }
}
