//! Everything that is tried, as a table. To add a case is to add an entry.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::case::{Caller, Calls, Case, Ends, Expect, Fact, Promise, Step, Tool};
use super::server::Manners;
use super::zoo::Animal;

/// What tools get between being asked to stop and being killed.
const GRACE: Duration = Duration::from_millis(300);
/// Calls that are open at once where it is about many.
const MANY_CALLS: usize = 200;
/// MCP servers of one run: each has a client of its own.
const SOME_SERVERS: usize = 20;

const AFTER_GRACE: Promise =
    Promise { text: "nothing left grace + 500ms later", limit: Duration::from_millis(800) };
const AT_ONCE: Promise = Promise {
    text: "every call closed 50ms later, crew gone 100ms later",
    limit: Duration::from_millis(100),
};
const NO_GRACE: Promise =
    Promise { text: "a second signal skips the grace", limit: Duration::from_millis(200) };
const ORPHANED: Promise =
    Promise { text: "nothing left 1s after crew was killed", limit: Duration::from_secs(1) };
const RUN_LIMIT: Promise = Promise {
    text: "a limit of 1s, then nothing left grace + 500ms later",
    limit: Duration::from_millis(1800),
};
const CALL_LIMIT: Promise =
    Promise { text: "a limit of 1s, then the end", limit: Duration::from_millis(1100) };
const READ_LIMIT: Promise =
    Promise { text: "ends when 64 MiB were read", limit: Duration::from_secs(3) };
const CLOSED_FIRST: Promise = Promise {
    text: "every call closed 50ms later, nothing left grace + 500ms later",
    limit: Duration::from_millis(1500),
};
const SIZE_LIMIT: Promise =
    Promise { text: "ends when `max_answer` is reached", limit: Duration::from_secs(2) };

/// What most have in common.
const BASE: Case = Case {
    name: "",
    title: "",
    promise: AFTER_GRACE,
    tools: &[],
    calls: None,
    grace: GRACE,
    timeout: "30s",
    steps: &[Step::Signal(Signal::SIGINT)],
    ends: Ends::By(Signal::SIGINT),
    expect: &[],
    linux_only: false,
    alone: false,
};

const fn tool(animal: Animal) -> Tool {
    Tool { animal, timeout: "20s", server: false }
}

const fn server(animal: Animal) -> Tool {
    Tool { server: true, ..tool(animal) }
}

/// Ctrl-C while these tools run.
const fn ctrl_c(name: &'static str, title: &'static str, tools: &'static [Tool]) -> Case {
    Case { name, title, tools, ..BASE }
}

/// A run that ends by itself.
const fn by_itself(name: &'static str, title: &'static str, promise: Promise) -> Case {
    Case { name, title, promise, steps: &[], ends: Ends::Exit(1), ..BASE }
}

const fn call(manners: Manners, settings: &'static str) -> Option<Calls> {
    Some(Calls { caller: Caller::Agent, manners, agents: 1, settings })
}

const fn mute(caller: Caller) -> Calls {
    Calls { caller, manners: Manners::Mute, agents: MANY_CALLS, settings: "{}" }
}

/// The same, asked by an HTTP tool.
const fn request(manners: Manners, settings: &'static str) -> Option<Calls> {
    Some(Calls { caller: Caller::Tool, manners, agents: 1, settings })
}

/// In the order of the printed table; those that run alone come first.
pub const CASES: &[Case] = &[
    Case {
        promise: AT_ONCE,
        calls: Some(mute(Caller::Agent)),
        expect: &[Expect::Is("/cleanup/model_calls_cancelled", Fact::Number(MANY_CALLS as u64))],
        alone: true,
        ..ctrl_c("open-calls", "Ctrl-C: 200 calls, the server says nothing", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(mute(Caller::Tool)),
        expect: &[Expect::Is("/cleanup/http_calls_cancelled", Fact::Number(MANY_CALLS as u64))],
        alone: true,
        ..ctrl_c("open-requests", "Ctrl-C: 200 HTTP tools, a server says nothing", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(Calls { agents: SOME_SERVERS, ..mute(Caller::Server) }),
        alone: true,
        ..ctrl_c("open-servers", "Ctrl-C: 20 MCP servers over HTTP say nothing", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(mute(Caller::Agent)),
        steps: &[Step::CloseOutput],
        ends: Ends::Exit(3),
        alone: true,
        ..ctrl_c("closed-pipe", "the reader of the output goes: 200 calls", &[])
    },
    Case {
        promise: NO_GRACE,
        grace: Duration::from_secs(60),
        steps: &[
            Step::Signal(Signal::SIGINT),
            Step::Says("stopping"),
            Step::Signal(Signal::SIGTERM),
        ],
        alone: true,
        ..ctrl_c("second-signal", "a second signal, tools ignore every one", &[DEAF, DEAF_DAEMON])
    },
    ctrl_c("sleeper", "Ctrl-C: a tool that waits", &[tool(Animal::Sleeper)]),
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(1))],
        ..ctrl_c("deaf", "Ctrl-C: it ignores every signal", &[DEAF])
    },
    Case {
        promise: CLOSED_FIRST,
        // Long enough to tell whether requests wait for it.
        grace: Duration::from_secs(1),
        calls: request(Manners::Dripping, "{}"),
        expect: &[
            Expect::Is("/cleanup/http_calls_cancelled", Fact::Number(1)),
            Expect::Is("/cleanup/processes_killed", Fact::Number(1)),
        ],
        ..ctrl_c("deaf-and-request", "Ctrl-C: an HTTP tool beside a deaf one", &[DEAF])
    },
    ctrl_c("family", "Ctrl-C: child and grandchild", &[tool(Animal::Family)]),
    ctrl_c("new-session", "Ctrl-C: a session of its own", &[tool(Animal::NewSession)]),
    Case {
        // Enough to end in, on any machine: both are to be counted as stopped.
        grace: Duration::from_secs(2),
        expect: &[Expect::Is("/cleanup/processes_stopped", Fact::Number(2))],
        ..ctrl_c("daemon", "Ctrl-C: a daemon without environment", &[DAEMON])
    },
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(2))],
        ..ctrl_c("deaf-daemon", "Ctrl-C: a daemon that ignores every signal", &[DEAF_DAEMON])
    },
    ctrl_c("server", "Ctrl-C: an MCP server, child and grandchild", &[server(Animal::Family)]),
    ctrl_c("deaf-server", "Ctrl-C: an MCP server that ignores signals", &[server(Animal::Deaf)]),
    ctrl_c("server-call", "Ctrl-C: an MCP server in a call", &[server(Animal::Server)]),
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(2))],
        linux_only: true,
        ..ctrl_c(
            "deaf-server-call",
            "Ctrl-C: a deaf MCP server in a call, a daemon",
            &[DEAF_SERVER],
        )
    },
    Case {
        steps: &[
            Step::Gone(Animal::DyingServer),
            Step::Says("dying-server: succeeded"),
            Step::Alive(Animal::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[
            Expect::Is("/agents/dying-server/status", Fact::Word("succeeded")),
            Expect::Is("/agents/dying-server/tool_calls/0/status", Fact::Word("failed")),
            Expect::AtMost("/agents/dying-server/tool_calls/0/duration_ms", 1000),
        ],
        linux_only: true,
        ..ctrl_c(
            "dying-server",
            "an MCP server dies in a call, a daemon stays",
            &[server(Animal::DyingServer), SLEEPER],
        )
    },
    ctrl_c("stopped", "Ctrl-C: it has stopped itself (SIGSTOP)", &[tool(Animal::Stopped)]),
    ctrl_c("writer", "Ctrl-C: it never stops writing", &[tool(Animal::Writer)]),
    ctrl_c("bomb", "Ctrl-C: 200 processes, born as others die", &[tool(Animal::Bomb)]),
    Case {
        steps: &[
            Step::Gone(Animal::Leaver),
            Step::Alive(Animal::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[
            Expect::Is("/agents/leaver/status", Fact::Word("succeeded")),
            Expect::Is("/agents/leaver/tool_calls/0/leaked", Fact::True),
            Expect::AtMost("/agents/leaver/tool_calls/0/duration_ms", 1000),
        ],
        linux_only: true,
        ..ctrl_c("leaver", "a tool ends, its daemon stays behind", &[LEAVER, SLEEPER])
    },
    Case {
        steps: &[
            Step::Gone(Animal::PipeHolder),
            Step::Alive(Animal::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[
            Expect::Is("/agents/pipe-holder/status", Fact::Word("succeeded")),
            Expect::Is("/agents/pipe-holder/tool_calls/0/leaked", Fact::True),
            Expect::AtMost("/agents/pipe-holder/tool_calls/0/duration_ms", 1000),
        ],
        ..ctrl_c("pipe-holder", "a tool ends, a child holds its output", &[PIPE_HOLDER, SLEEPER])
    },
    Case {
        steps: &[Step::Signal(Signal::SIGTERM)],
        ends: Ends::By(Signal::SIGTERM),
        ..ctrl_c("sigterm", "SIGTERM: deaf tools and a daemon", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::Signal(Signal::SIGHUP)],
        ends: Ends::By(Signal::SIGHUP),
        ..ctrl_c("sighup", "SIGHUP: deaf tools and a daemon", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::Volley],
        ends: Ends::ByAny,
        ..ctrl_c("volley", "20 signals from 4 threads: one report", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::CloseOutput],
        ends: Ends::Exit(3),
        ..ctrl_c("closed-pipe-daemon", "the reader of the output goes: a daemon", &[DEAF_DAEMON])
    },
    Case {
        timeout: "1s",
        tools: &[DEAF, DEAF_DAEMON],
        ends: Ends::Exit(124),
        ..by_itself("run-timeout", "the run's limit: deaf tools and a daemon", RUN_LIMIT)
    },
    Case {
        steps: &[
            Step::Gone(Animal::Daemon),
            Step::Alive(Animal::NewSession),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[Expect::Is("/agents/daemon/tool_calls/0/status", Fact::Word("timed_out"))],
        linux_only: true,
        ..ctrl_c(
            "tool-timeout",
            "a tool's limit: its daemon goes, others stay",
            &[Tool { timeout: "1s", ..tool(Animal::Daemon) }, tool(Animal::NewSession)],
        )
    },
    Case {
        promise: ORPHANED,
        steps: &[Step::KillCrew],
        ends: Ends::By(Signal::SIGKILL),
        linux_only: true,
        ..ctrl_c(
            "crew-killed",
            "kill -9 crew: deaf tools, daemons, MCP server",
            &[DEAF, DEAF_DAEMON, DEAF_SERVER],
        )
    },
    Case {
        steps: &[Step::KillGuardian],
        tools: &[Tool { timeout: "1s", ..tool(Animal::DeafDaemon) }],
        ends: Ends::Exit(0),
        expect: &[Expect::Lines(1, "guardian process")],
        linux_only: true,
        ..by_itself("guardian-killed", "kill -9 crew's guardian: the run goes on", RUN_LIMIT)
    },
    Case {
        tools: &[Tool { timeout: "1s", ..tool(Animal::ParentKiller) }],
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/parent-killer/status", Fact::Word("succeeded"))],
        linux_only: true,
        ..by_itself("parent-killer", "a tool kills its own parent", RUN_LIMIT)
    },
    Case {
        tools: &[Tool { timeout: "1s", ..tool(Animal::Patricide) }],
        ends: Ends::Exit(0),
        expect: &[
            Expect::Is("/agents/patricide/status", Fact::Word("succeeded")),
            Expect::Lines(1, "guardian"),
        ],
        linux_only: true,
        ..by_itself("patricide", "a tool kills all between it and crew", RUN_LIMIT)
    },
    Case {
        calls: call(Manners::Dripping, r#"{"timeout": "1s"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("timeout")),
            Expect::Is("/agents/call-1/error/scope", Fact::Word("agent")),
        ],
        ..by_itself("dripping", "a server that drips comments for ever", CALL_LIMIT)
    },
    Case {
        calls: call(Manners::Stalling, r#"{"idle_timeout": "1s"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("timeout")),
            Expect::Is("/agents/call-1/error/scope", Fact::Word("model")),
        ],
        ..by_itself("stalling", "a server that is silent after its head", CALL_LIMIT)
    },
    Case {
        calls: call(Manners::EndlessHead, r#"{"idle_timeout": "1s"}"#),
        expect: &[Expect::Is("/agents/call-1/status", Fact::Word("failed"))],
        ..by_itself("endless-head", "a server whose head never ends", CALL_LIMIT)
    },
    Case {
        calls: call(Manners::Endless, r#"{"max_answer": "64KiB"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("invalid_response")),
            Expect::Is("/agents/call-1/partial", Fact::True),
        ],
        ..by_itself("endless", "a server that never stops answering", SIZE_LIMIT)
    },
    Case {
        calls: request(Manners::Dripping, r#"{"tool_timeout": "1s"}"#),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/status", Fact::Word("timed_out"))],
        ..by_itself("dripping-request", "an HTTP tool, its server drips for ever", CALL_LIMIT)
    },
    Case {
        calls: request(Manners::EndlessHead, r#"{"tool_timeout": "1s"}"#),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/status", Fact::Word("failed"))],
        ..by_itself("endless-head-request", "an HTTP tool, the head never ends", CALL_LIMIT)
    },
    Case {
        calls: request(Manners::Endless, "{}"),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/truncated", Fact::True)],
        ..by_itself("endless-request", "an HTTP tool, the answer never ends", READ_LIMIT)
    },
];

const SLEEPER: Tool = tool(Animal::Sleeper);
const DEAF: Tool = tool(Animal::Deaf);
const DAEMON: Tool = tool(Animal::Daemon);
const DEAF_DAEMON: Tool = tool(Animal::DeafDaemon);
const DEAF_SERVER: Tool = server(Animal::DeafServer);
const LEAVER: Tool = tool(Animal::Leaver);
const PIPE_HOLDER: Tool = tool(Animal::PipeHolder);

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_titles_fit() {
        let names: HashSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
        for case in CASES {
            assert!(!case.title.is_empty() && case.title.chars().count() <= 46, "{}", case.title);
            assert!(!case.tools.is_empty() || case.calls.is_some(), "{}", case.name);
            let settings = case.calls.map_or("{}", |calls| calls.settings);
            assert!(serde_json::from_str::<serde_json::Value>(settings).is_ok(), "{}", case.name);
        }
    }

    #[test]
    fn those_that_run_alone_come_first() {
        assert!(CASES.is_sorted_by_key(|case| !case.alone));
    }
}
