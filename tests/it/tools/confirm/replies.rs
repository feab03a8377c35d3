//! The replies to questions, and calls that need none.

use indoc::formatdoc;
use nix::unistd::setsid;
use serde_json::json;

use super::common::{ASKED, calls, crew, crew_of, in_turns, statuses, written};
use crate::support::crew::Crew;
use crate::support::faults::expect_in;
use crate::support::mcp_server;
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script::{text, tool_calls};

/// Starts a new session, which has no terminal.
fn without_terminal() -> std::io::Result<()> {
    setsid()?;
    Ok(())
}

#[test]
fn without_a_terminal_the_call_is_rejected() {
    let (server, crew) = in_turns(&["x"]);
    let ended = crew.prepare(without_terminal).run();
    let report = ended.report(0);
    let call = &calls(&report, "a")[0];
    assert_eq!(call["status"], "rejected", "{report:#}");
    let output = call["output"].as_str().unwrap();
    assert!(output.contains("not run") && output.contains("no terminal"), "{output}");
    assert!(output.contains("--yes"), "{output}");
    assert_eq!(server.requests()[1].contents("tool"), [output]);
    assert_eq!(written(ended.path()), "");
}

#[test]
fn the_option_yes_skips_all_questions() {
    for option in ["--yes", "-y"] {
        let terminal = Pty::open();
        let (_server, crew) = in_turns(&["x", "y"]);
        let ended = terminal.start(crew.args(&[option])).run();
        assert_eq!(statuses(&ended.report(0), "a"), ["succeeded", "succeeded"]);
        assert_eq!(written(ended.path()), "x\ny\n");
        assert_eq!(terminal.shown(), "");
    }
}

#[test]
fn each_call_is_confirmed_until_the_reply_is_always() {
    let terminal = Pty::open();
    let (server, crew) = in_turns(&["one", "two", "three", "four"]);
    // The terminal is the controlling one; input, output and progress do not use it.
    let running = terminal.start(crew.args(&["-q"])).start();
    for (times, answer) in [(1, "y\n"), (2, "n\n"), (3, "a\n")] {
        terminal.wait_for(ASKED, times);
        terminal.type_in(answer);
    }
    let ended = running.wait();
    let report = ended.report(0);
    assert_eq!(statuses(&report, "a"), ["succeeded", "rejected", "succeeded", "succeeded"]);
    assert_eq!(written(ended.path()), "one\nthree\nfour\n");
    let question = |what: &str, answer: &str| {
        format!(
            "a wants to run write:\r\n  | shell: echo \"$what\" >> \"$DIR/written\"\r\n  \
             | [ -z \"$WAIT\" ] || until [ -e \"$DIR/$what\" ]; do sleep 0.01; done\r\n  \
             | sandbox: none\r\n  | \"what\": \"{what}\"\r\n\
             [y]es, [n]o; every call of write{ASKED}a to run write? {answer}\r\n"
        )
    };
    let all = question("one", "y") + &question("two", "n") + &question("three", "a");
    terminal.wait_for(&all, 1);
    assert_eq!(terminal.shown(), all);
    assert_eq!(ended.stderr, "");
    let result = server.requests()[2].contents("tool").concat();
    assert!(result.contains("the user was asked and denied it"), "{result}");
}

#[test]
fn an_invalid_reply_repeats_the_question_and_an_empty_one_is_a_no() {
    let terminal = Pty::open();
    let (_server, crew) = in_turns(&["x"]);
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("what is this?\n");
    terminal.wait_for(ASKED, 2);
    terminal.type_in("\n");
    let ended = running.wait();
    assert_eq!(statuses(&ended.report(0), "a"), ["rejected"]);
    assert_eq!(written(ended.path()), "");
}

#[test]
fn end_of_input_ends_the_line() {
    let terminal = Pty::open();
    let (_server, crew) = in_turns(&["x"]);
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    // Ctrl-D submits the line at once; an empty line means no.
    terminal.type_in("huh\u{4}");
    terminal.wait_for(ASKED, 2);
    terminal.type_in("\u{4}");
    assert_eq!(statuses(&running.wait().report(0), "a"), ["rejected"]);
    let lines: Vec<_> = terminal.shown().split("\r\n").map(str::to_owned).collect();
    assert!(lines[6].starts_with("Allow a to run write? "), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some(""), "{lines:?}");
}

#[test]
fn input_before_the_question_is_discarded() {
    let terminal = Pty::open();
    terminal.type_in("y\na\n");
    terminal.wait_for("a\r\n", 1);
    let running = terminal.start(crew("a: {tools: [write]}")).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("n\n");
    assert_eq!(statuses(&running.wait().report(0), "a"), ["rejected"]);
}

#[test]
fn questions_are_asked_one_by_one_and_other_agents_continue() {
    let terminal = Pty::open();
    let crew = crew("a: {tools: [write]}, b: {tools: [write]}, c: {tools: [free]}");
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    running.wait_for_file("free");
    assert_eq!(terminal.shown().matches("wants to run").count(), 1);
    terminal.type_in("y\n");
    terminal.wait_for(ASKED, 2);
    terminal.type_in("n\n");
    let ended = running.wait();
    let report = ended.report(0);
    assert_eq!(statuses(&report, "a"), ["succeeded"], "{report:#}");
    assert_eq!(statuses(&report, "b"), ["rejected"]);
    assert_eq!(statuses(&report, "c"), ["succeeded"]);
    // The progress then shows what happened in the meantime.
    for line in ["c: free succeeded", "a: write succeeded", "b: write rejected"] {
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
}

#[test]
fn always_also_answers_queued_questions_for_the_tool() {
    let terminal = Pty::open();
    let server = ModelServer::start(|request| match request.has_tool_results() {
        true => text("answered"),
        false => tool_calls(&[("write", &json!({})), ("write", &json!({}))]),
    });
    let crew = crew_of(&formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '{}'}}
        defaults: {{model: mock/m}}
        agents: {{a: {{tools: [write]}}, b: {{tools: [write]}}}}
    ", server.base_url()});
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("a\n");
    let report = running.wait().report(0);
    assert_eq!(statuses(&report, "a"), ["succeeded", "succeeded"]);
    assert_eq!(statuses(&report, "b"), ["succeeded", "succeeded"]);
    assert_eq!(terminal.shown().matches("wants to run").count(), 1);
}

#[test]
fn never_denies_every_further_call() {
    let terminal = Pty::open();
    let (server, crew) = in_turns(&["one", "two"]);
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("v\n");
    let ended = running.wait();
    assert_eq!(statuses(&ended.report(0), "a"), ["rejected", "rejected"]);
    assert_eq!(written(ended.path()), "");
    let result = server.requests()[2].contents("tool").concat();
    assert!(result.contains("the user denied every call of this tool"), "{result}");
    assert_eq!(terminal.shown().matches("wants to run").count(), 1);
}

#[test]
fn mcp_calls_are_confirmed_by_their_names_in_the_file() {
    let terminal = Pty::open();
    let servers = mcp_server::yaml("", "    confirm: true\n");
    let agents = "agents: {a: {model: offline, tools: [fx.peek, fx.echo]}}\n";
    let running = terminal.start(Crew::new(format!("{servers}{agents}"))).start();
    for (times, tool, answer) in [(1, "fx.peek", "n\n"), (2, "fx.echo", "y\n")] {
        terminal.wait_for(ASKED, times);
        assert!(
            terminal.shown().contains(&format!("Allow a to run {tool}? ")),
            "{}",
            terminal.shown()
        );
        terminal.type_in(answer);
    }
    let ended = running.wait();
    assert_eq!(statuses(&ended.report(0), "a"), ["rejected", "succeeded"]);
    let called = std::fs::read_to_string(ended.path().join("calls")).unwrap();
    assert_eq!(called, "echo\n");
}

#[test]
fn destructive_asks_about_tools_that_are_not_known_to_be_harmless() {
    let terminal = Pty::open();
    let servers = mcp_server::yaml("", "    confirm: destructive\n");
    let agents = "agents: {a: {model: offline, tools: [fx.peek, fx.die, fx.echo]}}\n";
    let running = terminal.start(Crew::new(format!("{servers}{agents}"))).start();
    terminal.wait_for(ASKED, 1);
    assert!(terminal.shown().contains("  | MCP server: fx ("), "{}", terminal.shown());
    terminal.type_in("n\n");
    let report = running.wait().report(0);
    assert_eq!(statuses(&report, "a"), ["succeeded", "rejected", "succeeded"]);
    assert!(terminal.shown().contains("Allow a to run fx.die? "));
    assert_eq!(terminal.shown().matches("wants to run").count(), 1);
    expect_in(
        "mcp_servers: {s: {command: x, confirm: reading}, t: {command: x, confirm: 3}}\n",
        &[
            "mcp_servers.s.confirm 2:40 .. expected true, false or destructive",
            "mcp_servers.t.confirm 2:75 .. true, false or destructive",
        ],
    );
}
