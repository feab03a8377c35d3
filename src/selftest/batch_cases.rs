//! The cases of a batch: programs and calls of many inputs at once.

use nix::sys::signal::Signal;

use super::base::{ORPHANED, ctrl_c, tool};
use super::case::{Case, Ends, Role, Step, Tool};
use super::fixture::Fixture;

/// Inputs that run at once.
const INPUTS: usize = 8;

const fn step(fixture: Fixture) -> Tool {
    Tool { role: Role::Step, ..tool(fixture) }
}

const DEAF: Tool = step(Fixture::Deaf);
const DEAF_DAEMON: Tool = step(Fixture::DeafDaemon);

const fn batch(name: &'static str, title: &'static str, tools: &'static [Tool]) -> Case {
    Case { inputs: Some(INPUTS), ..ctrl_c(name, title, tools) }
}

pub const BATCH_CASES: &[Case] = &[
    batch("batch-deaf", "Ctrl-C: a batch, steps ignore signals", &[DEAF]),
    batch("batch-daemon", "Ctrl-C: a batch, daemons ignore signals", &[DEAF_DAEMON]),
    Case {
        steps: &[Step::Signal(Signal::SIGTERM)],
        ends: Ends::By(Signal::SIGTERM),
        ..batch("batch-sigterm", "SIGTERM: a batch, steps ignore signals", &[DEAF])
    },
    Case {
        promise: ORPHANED,
        steps: &[Step::KillCrew],
        ends: Ends::By(Signal::SIGKILL),
        linux_only: true,
        ..batch("batch-killed", "SIGKILL: a batch, daemons ignore signals", &[DEAF_DAEMON])
    },
];
