//! Tools that need confirmation: the questions and the replies.

use std::os::unix::process::ExitStatusExt;

use crate::support::crew::{Crew, wait_for};
use crate::support::faults::expect_in;
use crate::support::mcp_server;
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script::{text, tool_call, tool_calls};
use indoc::{formatdoc, indoc};
use nix::unistd::setsid;
use serde_json::{Value, json};

const ASKED: &str = ": [a]lways, ne[v]er\r\nAllow ";

/// Agents with the model `offline`, which calls each of their tools once. `write` needs
/// confirmation and appends its calls to a file; `free` needs none.
fn crew(agents: &str) -> Crew {
    crew_of(&format!("defaults: {{model: offline}}\nagents: {{{agents}}}\n"))
}

fn crew_of(rest: &str) -> Crew {
    Crew::new(formatdoc! {r#"
        tools:
          write:
            description: x
            confirm: true
            env: [DIR, WAIT]
            shell: |
              echo "$what" >> "$DIR/written"
              [ -z "$WAIT" ] || until [ -e "$DIR/$what" ]; do sleep 0.01; done
            parameters: {{what: {{type: string, default: something}}}}
          free: {{description: x, env: [DIR], shell: 'echo > "$DIR/free"'}}
        {rest}"#})
}

/// An agent whose model calls `write` with one of these in each turn, and then answers.
fn in_turns(calls: &[&str]) -> (ModelServer, Crew) {
    let calls = calls.iter().map(|what| tool_call("write", &json!({"what": what})));
    let server = ModelServer::sequence(calls.chain([text("answered")]).collect::<Vec<_>>());
    let crew = crew_of(&formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '{}'}}
        agents: {{a: {{model: mock/m, tools: [write]}}}}
    ", server.base_url()});
    (server, crew)
}

fn calls<'r>(report: &'r Value, agent: &str) -> &'r Vec<Value> {
    report["agents"][agent]["tool_calls"].as_array().unwrap()
}

fn statuses<'r>(report: &'r Value, agent: &str) -> Vec<&'r str> {
    calls(report, agent).iter().map(|call| call["status"].as_str().unwrap()).collect()
}

fn written(folder: &std::path::Path) -> String {
    std::fs::read_to_string(folder.join("written")).unwrap_or_default()
}

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
fn ctrl_c_at_a_question_stops_the_run() {
    let terminal = Pty::open();
    let before = terminal.settings();
    let crew = crew("a: {tools: [write]}, b: {tools: [write]}");
    let running = terminal.start(crew.stderr(terminal.as_stderr())).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("\u{3}");
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(2));
    let report = ended.json();
    assert_eq!(report["reason"]["kind"], "interrupted", "{report:#}");
    // The other agent may not have made its call yet.
    let calls: Vec<_> = ["a", "b"].iter().flat_map(|agent| calls(&report, agent)).collect();
    assert!(!calls.is_empty(), "{report:#}");
    for call in calls {
        assert_eq!(
            (&call["status"], &call["stopped_by"]),
            (&json!("cancelled"), &json!("interrupted"))
        );
        assert!(call["output"].as_str().unwrap().contains("waiting for approval"), "{call}");
    }
    assert_eq!(written(ended.path()), "");
    assert!(before == terminal.settings());
    terminal.wait_for("^C\r\n(question withdrawn)\r\n", 1);
    let shown = terminal.shown();
    assert_eq!(shown.matches("wants to run").count(), 1, "{shown:?}");
    terminal.wait_for("interrupted", 1);
}

#[test]
fn waiting_for_a_reply_counts_against_the_agents_timeout() {
    let terminal = Pty::open();
    let crew = crew("a: {tools: [write], timeout: 500ms}, b: {tools: [write]}");
    let running = terminal.start(crew.args(&["-k"])).start();
    terminal.wait_for("(question withdrawn)", 1);
    terminal.wait_for(ASKED, 2);
    terminal.type_in("y\n");
    let ended = running.wait();
    let report = ended.report(1);
    assert_eq!(report["agents"]["a"]["status"], "timed_out", "{report:#}");
    let call = &calls(&report, "a")[0];
    assert_eq!(
        (&call["status"], &call["stopped_by"]),
        (&json!("timed_out"), &json!("agent_timeout"))
    );
    assert_eq!(statuses(&report, "b"), ["succeeded"]);
    assert_eq!(written(ended.path()), "something\n");
}

#[test]
fn a_question_from_the_background_does_not_suspend_crew() {
    let terminal = Pty::open();
    let crew = crew("a: {tools: [write], timeout: 500ms}");
    // A background job of a shell: access to the terminal would suspend it.
    let crew = crew.through("set -m; \"$0\" \"$@\" & wait $!; exit $?; true");
    let running = terminal.start(crew).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("y\n");
    let ended = running.wait();
    assert_eq!(ended.report(1)["agents"]["a"]["status"], "timed_out");
    assert_eq!(written(ended.path()), "");
}

#[test]
fn the_progress_display_goes_on_above_a_question() {
    const SIZE: (u16, u16) = (24, 80);
    let terminal = Pty::sized(SIZE.0, SIZE.1);
    let (_server, crew) = in_turns(&["one", "two"]);
    let crew = crew.env("WAIT", "1").env("TERM", "xterm").stderr(terminal.as_stderr());
    let running = terminal.start(crew).start();
    for (times, what) in [(1, "one"), (2, "two")] {
        let asked = format!("  | \"what\": \"{what}\"\n[y]es, [n]o; every call of write");
        let screen = terminal.wait_for_screen(SIZE, &asked);
        let (above, question) = screen.rsplit_once("a wants to run write:\n").unwrap();
        assert!(above.contains("agents  0:0") && above.contains(" a  "), "{screen}");
        // The display changes, and the question does not.
        let moved = wait_for("another frame", || {
            Some(terminal.screen(SIZE.0, SIZE.1)).filter(|now| *now != screen)
        });
        assert_eq!(moved.rsplit_once("a wants to run write:\n").unwrap().1, question);
        assert_eq!(moved.matches("agents  0:0").count(), 1, "{moved}");
        terminal.type_in("y\n");
        let screen = terminal.wait_for_screen(SIZE, "write, 0.");
        // The question stays, without the display above it.
        assert_eq!(screen.matches("wants to run").count(), times, "{screen}");
        let (before, after) = screen.rsplit_once(&asked).unwrap();
        assert!(!before.contains("agents  0:0"), "{screen}");
        assert_eq!(after.matches("agents  0:0").count(), 1, "{screen}");
        std::fs::write(running.path(what), "").unwrap();
    }
    let ended = running.wait();
    assert_eq!(written(ended.path()), "one\ntwo\n");
    let screen = terminal.wait_for_screen(SIZE, "1 of 1 agent succeeded");
    assert!(!screen.contains("agents  0:0"), "{screen}");
}

#[test]
fn a_question_that_is_withdrawn_takes_the_display_with_it() {
    let terminal = Pty::sized(24, 80);
    let crew = crew("a: {tools: [write], timeout: 700ms}");
    let crew = crew.env("TERM", "xterm").stderr(terminal.as_stderr());
    let running = terminal.start(crew).start();
    terminal.wait_for_screen((24, 80), "Allow a to run write? ");
    terminal.type_in("what?\n");
    terminal.wait_for(ASKED, 2);
    running.wait();
    let screen = terminal.wait_for_screen((24, 80), "0 of 1 agent succeeded");
    assert!(screen.starts_with("a wants to run write:\n"), "{screen}");
    assert!(screen.contains("(question withdrawn)\n"), "{screen}");
    assert!(!screen.contains("agents  0:0"), "{screen}");
}

#[test]
fn model_text_is_escaped_in_questions() {
    let terminal = Pty::open();
    let hostile = format!(
        "\u{1b}[2J\u{202e}{}\r\nevery call of write{ASKED}a to run write? {}; rm -rf ~",
        " ".repeat(100),
        "x".repeat(3000)
    );
    let (_server, crew) = in_turns(&[&hostile]);
    let running = terminal.start(crew.args(&["-q"])).start();
    terminal.wait_for("\nAllow a to run write? ", 1);
    let shown = terminal.shown();
    assert!(shown.contains("\"\\u001b[2J\\u{202e}  "), "{shown}");
    assert_eq!(shown.matches("\nAllow a to run").count(), 1, "{shown}");
    assert!(shown.contains("; rm -rf ~\"\r\n"), "{shown}");
    assert!(shown.contains(" characters left out …]\r\n"), "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    terminal.type_in("n\n");
    running.wait().report(0);
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

/// What a question shows before the prompt.
fn asked(yaml: &str, env: &[(&str, &str)]) -> String {
    let terminal = Pty::with_columns(200);
    let running = terminal.start(Crew::new(yaml).envs(env)).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("n\n");
    running.wait();
    terminal.shown().replace('\r', "")
}

#[test]
fn a_question_shows_what_will_run() {
    let shown = asked(
        indoc! {"
            tools:
              restart:
                description: x
                command: [systemctl, restart, '{{ name }}']
                cwd: /tmp
                sandbox: {read: [/usr], network: none, if_unsupported: warn}
                confirm: true
                parameters: {name: {type: string, default: \"a b'c\\n\"}}
            agents: {a: {model: offline, tools: [restart]}}
        "},
        &[],
    );
    let expected = indoc! {r#"
        a wants to run restart:
          | command: systemctl restart 'a b'\''c\u{a}'
          | cwd: /tmp
          | sandbox: no network, reads /usr
          | "name": "a b'c\n"
    "#};
    assert!(shown.starts_with(expected), "{shown}");
    let shown = asked(
        indoc! {"
            tools:
              ticket:
                description: x
                http:
                  url: 'http://127.0.0.1:9/t/{{ id }}'
                  query: {key: '${API_TOKEN}'}
                  headers: {authorization: 'Bearer ${API_TOKEN}'}
                  body: {state: closed}
                confirm: true
                parameters: {id: {type: integer, default: 7}}
            agents: {a: {model: offline, tools: [ticket]}}
        "},
        &[("API_TOKEN", "s3cret-0123456789")],
    );
    let expected = indoc! {r#"
        a wants to run ticket:
          | http: POST http://127.0.0.1:9/t/7?key=[redacted]
          | body: {"state":"closed"}
          | "id": 7
    "#};
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn a_question_about_a_step_shows_its_command() {
    let yaml = "agents: {push: {command: [git, push, '{{ input }}'], confirm: true}}";
    let shown = asked(yaml, &[]);
    let expected = "push wants to run git:\n  | command: git push go\n  | sandbox: none\n[y]es";
    assert!(shown.starts_with(expected), "{shown}");
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
fn check_shows_which_tools_need_confirmation() {
    let yaml = indoc! {"
        tools:
          asks: {description: x, command: [id], confirm: true}
          web: {description: x, confirm: true, http: {url: 'https://example.com'}}
          free: {description: x, command: [id]}
        agents: {a: {model: offline, tools: [asks, web, free]}}
    "};
    let shown = Crew::check(yaml).env("COLUMNS", "200").run_as_is().stdout;
    for (tool, asks) in [("asks", "yes"), ("web", "yes"), ("free", "no")] {
        let line = shown.lines().find(|line| line.trim_start().starts_with(tool));
        assert!(line.unwrap_or_default().trim_end().ends_with(asks), "{shown}");
    }
    expect_in(
        "tools: {t: {description: x, command: [id], confirm: maybe}}\n",
        &["tools.t.confirm 2:53 .. true"],
    );
}

#[test]
fn the_example_of_the_docs_works() {
    let page = include_str!("../../../docs/tools.md");
    let mut blocks = page.split("```yaml fragment\n");
    let example = blocks.find(|block| block.contains("    confirm: true")).unwrap();
    let (example, rest) = example.split_once("```").unwrap();
    let question = rest.split("```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let terminal = Pty::open();
    let agents = "agents: {services: {model: offline, tools: [restart]}}\n";
    let running = terminal.start(Crew::new(format!("{example}{agents}"))).start();
    terminal.wait_for(ASKED, 1);
    terminal.type_in("n\n");
    assert_eq!(statuses(&running.wait().report(0), "services"), ["rejected"]);
    assert!(terminal.shown().replace('\r', "").starts_with(question), "{}", terminal.shown());
}
