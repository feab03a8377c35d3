//! The table of all cases, in the order in which they are printed.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::base::{ORPHANED, RUN_LIMIT, SIZE_LIMIT, by_itself, ctrl_c, server, tool};
use super::batch_cases::BATCH_CASES;
use super::case::{Caller, Calls, Case, Ends, Expect, Fact, Promise, Step, Tool};
use super::fixture::Fixture;
use super::flow_cases::FLOW_CASES;
use super::server::ServerBehaviour;

/// The number of simultaneous calls in cases about many.
const MANY_CALLS: usize = 200;
/// The number of MCP servers over HTTP. Each one has an HTTP client of its own.
const MANY_SERVERS: usize = 20;

const AT_ONCE: Promise = Promise {
    text: "calls closed within 50ms, exit within 100ms",
    limit: Duration::from_millis(100),
};
const NO_GRACE: Promise =
    Promise { text: "a second signal skips the grace", limit: Duration::from_millis(200) };
const CALL_LIMIT: Promise =
    Promise { text: "exit after a timeout of 1s", limit: Duration::from_millis(1100) };
const READ_LIMIT: Promise =
    Promise { text: "the call ends after 64 MiB", limit: Duration::from_secs(3) };
const CLOSED_FIRST: Promise = Promise {
    text: "calls closed within 50ms, no process left after grace + 500ms",
    limit: Duration::from_millis(1500),
};
const fn call(behaviour: ServerBehaviour, settings: &'static str) -> Option<Calls> {
    Some(Calls { caller: Caller::Model, behaviour, agents: 1, settings })
}

const fn silent(caller: Caller) -> Calls {
    Calls { caller, behaviour: ServerBehaviour::Silent, agents: MANY_CALLS, settings: "{}" }
}

/// The same call by an HTTP tool.
const fn request(behaviour: ServerBehaviour, settings: &'static str) -> Option<Calls> {
    Some(Calls { caller: Caller::HttpTool, behaviour, agents: 1, settings })
}

/// The cases of tools, servers and calls. Cases that run alone come first.
pub const CASES: &[Case] = &[
    Case {
        promise: AT_ONCE,
        calls: Some(silent(Caller::Model)),
        expect: &[Expect::Is("/cleanup/model_calls_cancelled", Fact::Number(MANY_CALLS as u64))],
        alone: true,
        ..ctrl_c("open-calls", "Ctrl-C: 200 model calls, silent server", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(silent(Caller::HttpTool)),
        expect: &[Expect::Is("/cleanup/http_calls_cancelled", Fact::Number(MANY_CALLS as u64))],
        alone: true,
        ..ctrl_c("open-requests", "Ctrl-C: 200 HTTP tools, silent server", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(Calls { agents: 1, ..silent(Caller::Model) }),
        inputs: Some(MANY_CALLS),
        alone: true,
        ..ctrl_c("batch-calls", "Ctrl-C: a batch of 200 calls, silent server", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(Calls { agents: MANY_SERVERS, ..silent(Caller::McpServer) }),
        alone: true,
        ..ctrl_c("open-servers", "Ctrl-C: 20 silent MCP servers over HTTP", &[])
    },
    Case {
        promise: AT_ONCE,
        calls: Some(silent(Caller::Model)),
        steps: &[Step::CloseOutput],
        ends: Ends::Exit(3),
        alone: true,
        ..ctrl_c("closed-pipe", "stdout closed: 200 model calls", &[])
    },
    Case {
        promise: NO_GRACE,
        grace: Duration::from_secs(60),
        steps: &[
            Step::Signal(Signal::SIGINT),
            Step::Prints("stopping"),
            Step::Signal(Signal::SIGTERM),
        ],
        alone: true,
        ..ctrl_c("second-signal", "second signal: tools that ignore signals", &[DEAF, DEAF_DAEMON])
    },
    ctrl_c("sleeper", "Ctrl-C: a sleeping tool", &[tool(Fixture::Sleeper)]),
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(1))],
        ..ctrl_c("deaf", "Ctrl-C: a tool that ignores signals", &[DEAF])
    },
    Case {
        promise: CLOSED_FIRST,
        // Long enough to show whether requests wait for it.
        grace: Duration::from_secs(1),
        calls: request(ServerBehaviour::Dripping, "{}"),
        expect: &[
            Expect::Is("/cleanup/http_calls_cancelled", Fact::Number(1)),
            Expect::Is("/cleanup/processes_killed", Fact::Number(1)),
        ],
        ..ctrl_c("deaf-and-request", "Ctrl-C: an HTTP tool and one ignoring signals", &[DEAF])
    },
    ctrl_c("family", "Ctrl-C: a tool with child and grandchild", &[tool(Fixture::Family)]),
    ctrl_c("new-session", "Ctrl-C: a child in a session of its own", &[tool(Fixture::NewSession)]),
    Case {
        // Long enough on any machine for both to end by themselves.
        grace: Duration::from_secs(2),
        expect: &[Expect::Is("/cleanup/processes_stopped", Fact::Number(2))],
        ..ctrl_c("daemon", "Ctrl-C: a daemon without an environment", &[DAEMON])
    },
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(2))],
        ..ctrl_c("deaf-daemon", "Ctrl-C: a daemon that ignores signals", &[DEAF_DAEMON])
    },
    ctrl_c("server", "Ctrl-C: MCP server with child and grandchild", &[server(Fixture::Family)]),
    ctrl_c("deaf-server", "Ctrl-C: an MCP server that ignores signals", &[server(Fixture::Deaf)]),
    ctrl_c("server-call", "Ctrl-C: an MCP server during a call", &[server(Fixture::Server)]),
    Case {
        expect: &[Expect::Is("/cleanup/processes_killed", Fact::Number(2))],
        linux_only: true,
        ..ctrl_c("deaf-server-call", "Ctrl-C: MCP call, daemon, signals ignored", &[DEAF_SERVER])
    },
    Case {
        steps: &[
            Step::Gone(Fixture::DyingServer),
            Step::Prints("dying-server: succeeded"),
            Step::Alive(Fixture::Sleeper),
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
            "an MCP server dies in a call, leaves a daemon",
            &[server(Fixture::DyingServer), SLEEPER],
        )
    },
    ctrl_c("stopped", "Ctrl-C: a tool stopped by SIGSTOP", &[tool(Fixture::Stopped)]),
    ctrl_c("writer", "Ctrl-C: a tool that never stops writing", &[tool(Fixture::Writer)]),
    ctrl_c("bomb", "Ctrl-C: a fork bomb of 200 processes", &[tool(Fixture::Bomb)]),
    Case {
        steps: &[
            Step::Gone(Fixture::Leaver),
            Step::Alive(Fixture::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[
            Expect::Is("/agents/leaver/status", Fact::Word("succeeded")),
            Expect::Is("/agents/leaver/tool_calls/0/leaked", Fact::True),
            Expect::AtMost("/agents/leaver/tool_calls/0/duration_ms", 1000),
        ],
        linux_only: true,
        ..ctrl_c("leaver", "a tool ends and leaves a daemon", &[LEAVER, SLEEPER])
    },
    Case {
        steps: &[
            Step::Gone(Fixture::PipeHolder),
            Step::Alive(Fixture::Sleeper),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[
            Expect::Is("/agents/pipe-holder/status", Fact::Word("succeeded")),
            Expect::Is("/agents/pipe-holder/tool_calls/0/leaked", Fact::True),
            Expect::AtMost("/agents/pipe-holder/tool_calls/0/duration_ms", 1000),
        ],
        ..ctrl_c(
            "pipe-holder",
            "a tool ends, its child keeps the pipe open",
            &[PIPE_HOLDER, SLEEPER],
        )
    },
    Case {
        steps: &[Step::Signal(Signal::SIGTERM)],
        ends: Ends::By(Signal::SIGTERM),
        ..ctrl_c("sigterm", "SIGTERM: tool and daemon ignore signals", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::Signal(Signal::SIGHUP)],
        ends: Ends::By(Signal::SIGHUP),
        ..ctrl_c("sighup", "SIGHUP: tool and daemon ignore signals", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::Volley],
        ends: Ends::ByAny,
        ..ctrl_c("volley", "20 signals from 4 threads, one report", &[DEAF, DEAF_DAEMON])
    },
    Case {
        steps: &[Step::CloseOutput],
        ends: Ends::Exit(3),
        ..ctrl_c(
            "closed-pipe-daemon",
            "stdout closed: a daemon that ignores signals",
            &[DEAF_DAEMON],
        )
    },
    Case {
        timeout: "1s",
        tools: &[DEAF, DEAF_DAEMON],
        ends: Ends::Exit(124),
        ..by_itself("run-timeout", "run timeout: tool and daemon ignore signals", RUN_LIMIT)
    },
    Case {
        steps: &[
            Step::Gone(Fixture::Daemon),
            Step::Alive(Fixture::NewSession),
            Step::Signal(Signal::SIGINT),
        ],
        expect: &[Expect::Is("/agents/daemon/tool_calls/0/status", Fact::Word("timed_out"))],
        linux_only: true,
        ..ctrl_c(
            "tool-timeout",
            "tool timeout: its daemon ends, others go on",
            &[Tool { timeout: "1s", ..tool(Fixture::Daemon) }, tool(Fixture::NewSession)],
        )
    },
    Case {
        promise: ORPHANED,
        steps: &[Step::KillCrew],
        ends: Ends::By(Signal::SIGKILL),
        linux_only: true,
        ..ctrl_c(
            "crew-killed",
            "SIGKILL to crew: tools, daemons, MCP server",
            &[DEAF, DEAF_DAEMON, DEAF_SERVER],
        )
    },
    Case {
        steps: &[Step::KillGuardian],
        tools: &[Tool { timeout: "1s", ..tool(Fixture::DeafDaemon) }],
        ends: Ends::Exit(0),
        expect: &[Expect::Lines(1, "guardian process")],
        linux_only: true,
        ..by_itself("guardian-killed", "SIGKILL to the guardian: the run goes on", RUN_LIMIT)
    },
    Case {
        tools: &[Tool { timeout: "1s", ..tool(Fixture::ParentKiller) }],
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/parent-killer/status", Fact::Word("succeeded"))],
        linux_only: true,
        ..by_itself("parent-killer", "a tool kills its reaper", RUN_LIMIT)
    },
    Case {
        tools: &[Tool { timeout: "1s", ..tool(Fixture::AncestorKiller) }],
        ends: Ends::Exit(0),
        expect: &[
            Expect::Is("/agents/ancestor-killer/status", Fact::Word("succeeded")),
            Expect::Lines(1, "guardian"),
        ],
        linux_only: true,
        ..by_itself("patricide", "a tool kills its reaper and the guardian", RUN_LIMIT)
    },
    Case {
        calls: call(ServerBehaviour::Dripping, r#"{"timeout": "1s"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("timeout")),
            Expect::Is("/agents/call-1/error/scope", Fact::Word("agent")),
        ],
        ..by_itself("dripping", "model server: comments forever", CALL_LIMIT)
    },
    Case {
        calls: call(ServerBehaviour::Stalling, r#"{"idle_timeout": "1s"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("timeout")),
            Expect::Is("/agents/call-1/error/scope", Fact::Word("model")),
        ],
        ..by_itself("stalling", "model server: silence after the headers", CALL_LIMIT)
    },
    Case {
        calls: call(ServerBehaviour::EndlessHead, r#"{"idle_timeout": "1s"}"#),
        expect: &[Expect::Is("/agents/call-1/status", Fact::Word("failed"))],
        ..by_itself("endless-head", "model server: endless headers", CALL_LIMIT)
    },
    Case {
        calls: call(ServerBehaviour::Endless, r#"{"max_answer": "64KiB"}"#),
        expect: &[
            Expect::Is("/agents/call-1/error/kind", Fact::Word("invalid_response")),
            Expect::Is("/agents/call-1/partial", Fact::True),
        ],
        ..by_itself("endless", "model server: endless answer", SIZE_LIMIT)
    },
    Case {
        calls: request(ServerBehaviour::Dripping, r#"{"tool_timeout": "1s"}"#),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/status", Fact::Word("timed_out"))],
        ..by_itself("dripping-request", "HTTP tool: comments forever", CALL_LIMIT)
    },
    Case {
        calls: request(ServerBehaviour::EndlessHead, r#"{"tool_timeout": "1s"}"#),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/status", Fact::Word("failed"))],
        ..by_itself("endless-head-request", "HTTP tool: endless headers", CALL_LIMIT)
    },
    Case {
        calls: request(ServerBehaviour::Endless, "{}"),
        ends: Ends::Exit(0),
        expect: &[Expect::Is("/agents/call-1/tool_calls/0/truncated", Fact::True)],
        ..by_itself("endless-request", "HTTP tool: endless body", READ_LIMIT)
    },
];

const SLEEPER: Tool = tool(Fixture::Sleeper);
const DEAF: Tool = tool(Fixture::Deaf);
const DAEMON: Tool = tool(Fixture::Daemon);
const DEAF_DAEMON: Tool = tool(Fixture::DeafDaemon);
const DEAF_SERVER: Tool = server(Fixture::DeafServer);
const LEAVER: Tool = tool(Fixture::Leaver);
const PIPE_HOLDER: Tool = tool(Fixture::PipeHolder);

/// All cases, those of control flow and of batches last.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(FLOW_CASES).chain(BATCH_CASES)
}

/// The case of this name.
pub fn find(name: &str) -> Option<&'static Case> {
    all().find(|case| case.name == name)
}

/// The cases of these names in the order of the table; without names, all of them.
///
/// # Errors
/// A name that no case has.
pub fn select(names: &[String]) -> Result<Vec<&'static Case>, String> {
    if let Some(unknown) = names.iter().find(|name| find(name).is_none()) {
        return Err(unknown.clone());
    }
    let is_selected = |case: &&Case| names.is_empty() || names.iter().any(|name| name == case.name);
    Ok(all().filter(is_selected).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_titles_fit() {
        let names: HashSet<_> = all().map(|case| case.name).collect();
        assert_eq!(names.len(), all().count());
        for case in all() {
            assert!(!case.title.is_empty() && case.title.chars().count() <= 46, "{}", case.title);
            assert!(!case.tools.is_empty() || case.calls.is_some(), "{}", case.name);
            let settings = case.calls.map_or("{}", |calls| calls.settings);
            assert!(serde_json::from_str::<serde_json::Value>(settings).is_ok(), "{}", case.name);
        }
    }

    #[test]
    fn cases_that_run_alone_come_first() {
        assert!(all().is_sorted_by_key(|case| !case.alone));
    }
}
