//! The cases of control flow: a step, an instance and a check that misbehave.

use nix::sys::signal::Signal;

use super::base::{RUN_LIMIT, SIZE_LIMIT, by_itself, ctrl_c, tool};
use super::case::{Case, Expect, Fact, Role, Step, Tool};
use super::fixture::Fixture;

const fn step(fixture: Fixture) -> Tool {
    Tool { role: Role::Step, ..tool(fixture) }
}

const fn instance(fixture: Fixture) -> Tool {
    Tool { role: Role::Instance, ..tool(fixture) }
}

const fn check(fixture: Fixture) -> Tool {
    Tool { role: Role::Check, ..tool(fixture) }
}

/// The program with a time limit that ends before that of the run.
const fn limited(tool: Tool) -> Tool {
    Tool { timeout: "1s", ..tool }
}

const fn is(pointer: &'static str, word: &'static str) -> Expect {
    Expect::Is(pointer, Fact::Word(word))
}

/// Something that ends at once and leaves a daemon behind, beside a tool that goes on.
const fn leaves(
    name: &'static str,
    title: &'static str,
    tools: &'static [Tool],
    expect: &'static [Expect],
) -> Case {
    Case {
        steps: &[
            Step::Gone(Fixture::Leaver),
            Step::Alive(Fixture::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect,
        linux_only: true,
        ..ctrl_c(name, title, tools)
    }
}

/// Something that kills its parent. Linux only: elsewhere the guardian is its parent.
const fn kills_its_parent(
    name: &'static str,
    title: &'static str,
    tools: &'static [Tool],
    expect: &'static [Expect],
) -> Case {
    Case { tools, expect, linux_only: true, ..by_itself(name, title, RUN_LIMIT) }
}

const SLEEPER: Tool = tool(Fixture::Sleeper);

/// All of them end with the run, or within a limit of their own.
pub const FLOW_CASES: &[Case] = &[
    Case {
        expect: &[is("/agents/deaf/status", "cancelled")],
        ..ctrl_c(
            "step-stop",
            "Ctrl-C: steps ignore signals, fork away",
            &[step(Fixture::Deaf), step(Fixture::DeafDaemon), step(Fixture::Stopped)],
        )
    },
    Case {
        expect: &[is("/agents/deaf/items/0/status", "cancelled")],
        ..ctrl_c(
            "instance-stop",
            "Ctrl-C: instances ignore signals, fork away",
            &[instance(Fixture::Deaf), instance(Fixture::DeafDaemon), instance(Fixture::Stopped)],
        )
    },
    Case {
        expect: &[is("/agents/deaf/checks/0/status", "cancelled")],
        ..ctrl_c(
            "check-stop",
            "Ctrl-C: checks ignore signals, fork, flood",
            &[check(Fixture::Deaf), check(Fixture::DeafDaemon), check(Fixture::Writer)],
        )
    },
    Case {
        tools: &[step(Fixture::Writer)],
        expect: &[is("/agents/writer/error/kind", "step")],
        ..by_itself("step-flood", "a step that never stops writing", SIZE_LIMIT)
    },
    Case {
        tools: &[instance(Fixture::Writer)],
        expect: &[is("/agents/writer/items/0/error/kind", "step")],
        ..by_itself("instance-flood", "an instance that never stops writing", SIZE_LIMIT)
    },
    Case {
        tools: &[limited(check(Fixture::Writer))],
        expect: &[is("/agents/writer/error/kind", "check")],
        ..by_itself("check-flood", "a check that never stops writing", RUN_LIMIT)
    },
    leaves(
        "step-leaver",
        "a step ends and leaves a daemon",
        &[step(Fixture::Leaver), SLEEPER],
        &[
            is("/agents/leaver/status", "succeeded"),
            Expect::Is("/agents/leaver/leaked", Fact::True),
        ],
    ),
    leaves(
        "instance-leaver",
        "an instance ends and leaves a daemon",
        &[instance(Fixture::Leaver), SLEEPER],
        &[
            is("/agents/leaver/status", "succeeded"),
            Expect::Is("/agents/leaver/items/0/leaked", Fact::True),
        ],
    ),
    leaves(
        "check-leaver",
        "a check ends and leaves a daemon",
        &[check(Fixture::Leaver), SLEEPER],
        &[
            is("/agents/leaver/status", "succeeded"),
            Expect::Is("/agents/leaver/checks/0/leaked", Fact::True),
        ],
    ),
    kills_its_parent(
        "step-parent-killer",
        "a step kills its reaper",
        &[limited(step(Fixture::ParentKiller))],
        &[is("/agents/parent-killer/error/kind", "step")],
    ),
    kills_its_parent(
        "instance-parent-killer",
        "an instance kills its reaper",
        &[limited(instance(Fixture::ParentKiller))],
        &[is("/agents/parent-killer/items/0/error/kind", "step")],
    ),
    kills_its_parent(
        "check-parent-killer",
        "a check kills its reaper",
        &[limited(check(Fixture::ParentKiller))],
        &[is("/agents/parent-killer/error/kind", "unverified")],
    ),
    Case {
        tools: &[
            limited(step(Fixture::Deaf)),
            limited(instance(Fixture::DeafDaemon)),
            limited(check(Fixture::Bomb)),
        ],
        expect: &[
            is("/agents/deaf/error/kind", "timeout"),
            is("/agents/deaf-daemon/items/0/error/kind", "timeout"),
            is("/agents/bomb/error/kind", "check"),
        ],
        ..by_itself("flow-timeout", "step, instance, check exceed their timeouts", RUN_LIMIT)
    },
];
