//! What cases are built from.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::case::{Case, Ends, Promise, Role, Step, Tool};
use super::fixture::Fixture;

/// The time between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_millis(300);

const AFTER_GRACE: Promise =
    Promise { text: "no process left after grace + 500ms", limit: Duration::from_millis(800) };
pub const RUN_LIMIT: Promise = Promise {
    text: "timeout after 1s, no process left after grace + 500ms",
    limit: Duration::from_millis(1800),
};
pub const ORPHANED: Promise =
    Promise { text: "no process left 1s after crew was killed", limit: Duration::from_secs(1) };
pub const SIZE_LIMIT: Promise =
    Promise { text: "the call ends at `max_answer`", limit: Duration::from_secs(2) };

/// The common values of most cases.
pub const BASE: Case = Case {
    name: "",
    title: "",
    promise: AFTER_GRACE,
    tools: &[],
    calls: None,
    inputs: None,
    grace: GRACE,
    timeout: "30s",
    steps: &[Step::Signal(Signal::SIGINT)],
    ends: Ends::By(Signal::SIGINT),
    expect: &[],
    linux_only: false,
    alone: false,
};

pub const fn tool(fixture: Fixture) -> Tool {
    Tool { fixture, timeout: "20s", role: Role::Tool }
}

pub const fn server(fixture: Fixture) -> Tool {
    Tool { role: Role::Server, ..tool(fixture) }
}

/// Ctrl-C while these tools run.
pub const fn ctrl_c(name: &'static str, title: &'static str, tools: &'static [Tool]) -> Case {
    Case { name, title, tools, ..BASE }
}

/// A run that ends by itself.
pub const fn by_itself(name: &'static str, title: &'static str, promise: Promise) -> Case {
    Case { name, title, promise, steps: &[], ends: Ends::Exit(1), ..BASE }
}
