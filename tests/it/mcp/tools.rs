//! Tools of MCP servers: lists, calls, results and failures.

use std::time::Duration;

use crate::support::crew::{Crew, Ended};
use crate::support::mcp_server::{self, server, yaml};
use crate::support::mock_model::ModelServer;
use crate::support::script;
use indoc::formatdoc;
use serde_json::{Value, json};

/// One agent with the model `offline`, which calls each of these tools of the server once.
fn offline(role: &str, more: &str, tools: &str) -> Crew {
    let servers = yaml(role, more);
    Crew::new(format!("{servers}agents:\n  a: {{model: offline, tools: [{tools}]}}\n"))
}

/// One agent with all tools of the server; its model makes one of these calls in each turn.
fn calling(role: &str, more: &str, calls: &[(&str, Value)]) -> (Crew, ModelServer) {
    let turns = calls.iter().map(|(name, arguments)| script::tool_call(name, arguments));
    let model = ModelServer::sequence(turns.chain([script::text("done")]).collect::<Vec<_>>());
    let servers = yaml(role, more);
    let crew = Crew::new(formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '{}'}}
        {servers}agents:
          a: {{model: mock/m, tools: [fx]}}
    ", model.base_url()});
    (crew, model)
}

fn calls(report: &Value) -> Vec<Value> {
    report["agents"]["a"]["tool_calls"].as_array().unwrap().clone()
}

#[track_caller]
fn only_call(ended: &Ended) -> Value {
    let calls = calls(&ended.json());
    assert_eq!(calls.len(), 1, "{}\n{}", ended.stdout, ended.stderr);
    calls[0].clone()
}

fn text(call: &Value) -> &str {
    call["output"].as_str().unwrap()
}

fn lines(ended: &Ended, file: &str) -> Vec<String> {
    let text = std::fs::read_to_string(ended.path().join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_call_goes_to_the_server_and_its_answer_to_the_model() {
    let (crew, model) = calling("unhurried", "", &[("fx__echo", json!({"text": "hello"}))]);
    let ended = crew.run();
    let report = ended.report(0);
    let call = &calls(&report)[0];
    assert_eq!(call["tool"], "fx.echo");
    assert_eq!(call["status"], "succeeded");
    assert_eq!(call["output"], "hello");
    assert_eq!(report["cleanup"]["survivors"], json!([]));
    let requests = model.requests();
    assert_eq!(requests[1].contents("tool"), ["hello"]);
    // All pages of the list, with names that every model server accepts.
    let tools = requests[0].body["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 27);
    let function = &tools[0]["function"];
    assert_eq!(function["description"], "Says it again");
    assert_eq!(function["parameters"]["required"], json!(["text"]));
    assert!(tools.iter().any(|tool| tool["function"]["name"] == "fx__read_file"));
    assert_eq!(lines(&ended, "ends"), ["input closed"]);
    assert_eq!(report["cleanup"]["processes_killed"], 0);
}

#[test]
fn arguments_are_checked_before_the_server_is_asked() {
    let (crew, model) = calling("", "", &[("fx__echo", json!({"text": 7})), ("fx__no", json!({}))]);
    let ended = crew.run();
    let calls = calls(&ended.report(0));
    assert_eq!((&calls[0]["tool"], &calls[0]["status"]), (&json!("fx.echo"), &json!("rejected")));
    assert_eq!(calls[1]["status"], "rejected");
    assert!(model.requests()[1].contents("tool")[0].contains("do not match the schema"));
    assert!(lines(&ended, "calls").is_empty());
}

#[test]
fn an_agent_gets_the_tools_it_names_and_no_others() {
    for (named, expected) in [
        ("fx.echo", vec!["fx.echo"]),
        ("fx.read.*", vec!["fx.read.file", "fx.read.bytes"]),
        ("fx.*.file, fx.echo, fx.e?ho", vec!["fx.read.file", "fx.echo"]),
    ] {
        let report = offline("", "", named).run().report(0);
        let tools: Vec<String> =
            calls(&report).iter().map(|call| call["tool"].as_str().unwrap().to_owned()).collect();
        assert_eq!(tools, expected, "{named}");
    }
}

#[test]
fn an_unmatched_pattern_is_an_error_that_lists_the_tools() {
    let report = offline("", "", "fx.*_write").run().report(1);
    let error = &report["agents"]["a"]["error"];
    assert_eq!(error["kind"], "tool");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("fx has no tool *_write; it offers: echo, read.file"), "{message}");
    assert_eq!(report["agents"]["a"]["turns"], 0);
}

#[test]
fn a_server_starts_once_and_only_if_needed() {
    let servers = yaml("", "") + &server("idle", "refuses", "");
    let agents: String =
        (0..5).map(|n| format!("  b{n}: {{model: offline, tools: [fx.echo]}}\n")).collect();
    let last =
        "  last: {model: offline, tools: [fx.env], needs: [b0, b1]}\n  c: {model: offline}\n";
    let ended = Crew::new(format!("{servers}agents:\n{agents}{last}")).run();
    ended.report(0);
    assert_eq!(lines(&ended, "starts").len(), 1);
    assert_eq!(lines(&ended, "calls").len(), 6);
}

#[test]
fn a_server_that_does_not_start_fails_the_agents_that_need_it() {
    for (role, more, expected) in [
        ("refuses", "", vec!["MCP server fx", "exit code 3", "no database at /var/db"]),
        ("mute", "    start_timeout: 300ms\n", vec!["MCP server fx", "did not start within 300ms"]),
        ("endless", "", vec!["MCP server fx", "pages"]),
    ] {
        let servers = yaml(role, more);
        let ended = Crew::new(formatdoc! {"
            limits: {{on_failure: continue, grace: 300ms}}
            {servers}agents:
              a: {{model: offline, tools: [fx]}}
              b: {{model: offline, tools: [fx.echo]}}
              c: {{model: offline}}
        "})
        .run();
        let report = ended.report(1);
        for agent in ["a", "b"] {
            let error = &report["agents"][agent]["error"];
            assert_eq!(error["kind"], "tool");
            let message = error["message"].as_str().unwrap();
            assert!(expected.iter().all(|part| message.contains(part)), "{role}: {message}");
            // The servers that crew stops have no exit code of their own.
            assert!(role == "refuses" || !message.contains("exit code"), "{role}: {message}");
        }
        assert_eq!(report["agents"]["c"]["status"], "succeeded");
        assert_eq!(lines(&ended, "starts").len(), 1, "{role}");
        assert_eq!(report["cleanup"]["survivors"], json!([]));
    }
}

#[test]
fn a_missing_program_is_named() {
    let yaml = "mcp_servers: {fx: {command: no-such-server}}\n\
                agents: {a: {model: offline, tools: [fx]}}\n";
    let report = Crew::new(yaml).run().report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("no such program or directory: no-such-server"), "{message}");
}

#[test]
fn unusable_tools_are_skipped_unless_named() {
    let ended = offline("misshapen", "", "'fx.bad*', fx.echo").run();
    let report = ended.report(0);
    assert_eq!(calls(&report).len(), 1);
    let notes = report["agents"]["a"]["notes"].as_array().unwrap();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(notes[0].as_str().unwrap().contains("fx.bad_type"), "{notes:?}");
    assert!(ended.stderr.contains("fx.bad_schema"), "{}", ended.stderr);
    assert!(notes[2].as_str().unwrap().contains("too many parts"), "{notes:?}");
    assert!(ended.peak_memory < 96 << 20, "{} bytes", ended.peak_memory);

    let report = offline("misshapen", "", "fx.bad_schema").run().report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("bad_schema") && message.contains("not a JSON Schema"), "{message}");
}

#[test]
fn arguments_too_expensive_to_check_are_rejected() {
    let deep = (0..60).fold(json!({}), |inside, _| json!({ "next": inside }));
    let (crew, model) = calling("misshapen", "", &[("fx__hall", deep)]);
    let call = only_call(&crew.run());
    assert_eq!(call["status"], "rejected");
    assert!(model.requests()[1].contents("tool")[0].contains("too deeply nested"));
}

#[test]
fn that_a_model_takes_no_images_is_remembered() {
    let model = ModelServer::start(|request| {
        match (request.body.to_string().contains("image_url"), request.messages().len()) {
            (true, _) => script::error(400, "this model does not support image input"),
            (false, ..4) => script::tool_call("fx__shot", &json!({})),
            (false, _) => script::text("done"),
        }
    });
    let servers = yaml("", "");
    let yaml = formatdoc! {"
        providers: {{mock: {{base_url: '{}'}}}}
        {servers}agents: {{a: {{model: mock/m, tools: [fx], retries: 0}}}}
    ", model.base_url()};
    let report = Crew::new(yaml).run().report(0);
    assert_eq!(model.requests().len(), 4, "{report:#}");
    let notes = report["agents"]["a"]["notes"].to_string();
    assert!(notes.contains("images of tools were left out"), "{notes}");
}

#[test]
fn all_kinds_of_results_become_text() {
    let call = only_call(&offline("", "", "fx.media").run());
    assert_eq!(
        text(&call),
        "[image: image/png, 4 bytes]\n[resource link: file:///log (log)]\n{\"count\":2}"
    );
    let call = only_call(&offline("", "", "fx.fail").run());
    assert_eq!((text(&call), &call["status"]), ("disk on fire", &json!("failed")));
    let call = only_call(&offline("", "", "fx.garbled").run());
    assert_eq!((text(&call), &call["status"]), ("gr\u{fffd}n", &json!("succeeded")));
    let call = only_call(&offline("", "", "fx.abyss").run());
    assert_eq!(call["status"], "failed");
    assert!(text(&call).contains("nested more than 100 levels deep"), "{call}");
    let call = only_call(&offline("", "    max_output: 1KiB\n", "fx.long").run());
    assert_eq!(call["truncated"], true);
    assert!(text(&call).starts_with("firstx") && text(&call).ends_with("xlast"));
    assert!(text(&call).len() < 1100);
}

#[test]
fn supported_server_requests_are_answered_and_others_rejected() {
    let ended = offline("", "", "fx.ask").run();
    let answers: Value = serde_json::from_str(text(&only_call(&ended))).unwrap();
    assert_eq!(answers["ping"]["result"], json!({}));
    assert_eq!(answers["roots"]["result"]["roots"], json!([]));
    assert_eq!(answers["sampling"]["error"]["code"], -32601, "{answers:#}");
    assert_ne!(answers["elicitation"]["result"]["action"], "accept", "{answers:#}");
    assert!(answers["unknown"]["error"].is_object(), "{answers:#}");
    let client = lines(&ended, "client")[0].clone();
    assert!(!client.contains("sampling") && !client.contains("elicitation"), "{client}");
    // Some servers take roots instead of folders in their arguments.
    assert!(!client.contains("roots"), "{client}");
}

#[test]
fn a_server_gets_the_roots_of_the_file() {
    let ended = offline("", "    roots: [., /]\n", "fx.ask").run();
    let answers: Value = serde_json::from_str(text(&only_call(&ended))).unwrap();
    let here = ended.path().display();
    assert_eq!(
        answers["roots"]["result"]["roots"],
        json!([{"uri": format!("file://{here}")}, {"uri": "file:///"}])
    );
    assert!(lines(&ended, "client")[0].contains("roots"));
}

#[test]
fn a_call_that_times_out_is_cancelled_and_the_agent_continues() {
    for tool in ["never", "progress"] {
        let servers = yaml("unhurried", "    timeout: 300ms\n");
        // The run continues for a while, so that the server receives the cancellation.
        let crew = Crew::new(formatdoc! {"
            {servers}tools:
              wait: {{description: x, command: [sleep, '2']}}
            agents:
              a: {{model: offline, tools: [fx.{tool}]}}
              b: {{model: offline, tools: [wait]}}
        "});
        let ended = crew.run();
        ended.report(0);
        let call = only_call(&ended);
        assert_eq!(call["status"], "timed_out", "{tool}");
        assert_eq!(call["stopped_by"], "tool_timeout");
        assert!(call["duration_ms"].as_u64().unwrap() < 1500, "{call:#}");
        assert!(text(&call).contains("exceeded its timeout of 300ms"));
        assert_eq!(lines(&ended, "cancelled").len(), 1, "{tool}");
    }
}

#[test]
fn a_server_that_exits_fails_the_call_and_restarts_once() {
    let echo = ("fx__echo", json!({"text": "back"}));
    let die = ("fx__die", json!({}));
    let (crew, _model) = calling("", "", &[die.clone(), echo.clone(), die, echo]);
    let ended = crew.run();
    let calls = calls(&ended.report(0));
    for dead in [&calls[0], &calls[2]] {
        assert_eq!(dead["status"], "failed");
        let text = text(dead);
        assert!(text.contains("exited during the call (exit code 7)"), "{text}");
        assert!(text.contains("out of cheese"), "{text}");
    }
    assert_eq!(calls[1]["output"], "back");
    assert_eq!(calls[3]["status"], "failed");
    assert!(text(&calls[3]).contains("started 2 times"), "{}", text(&calls[3]));
    assert_eq!(lines(&ended, "starts").len(), 2);
}

#[test]
fn floods_are_tolerated_and_oversized_messages_close_the_connection() {
    for (tool, status, expected) in [
        ("flood", "succeeded", "dry again"),
        ("nag", "succeeded", "done nagging"),
        ("huge", "failed", "larger than 4 MiB"),
        ("wide", "failed", "it has more than 200000 values"),
    ] {
        let tools = format!("fx.{tool}");
        let ended = offline("", "    timeout: 60s\n", &tools).run();
        let call = only_call(&ended);
        assert_eq!(call["status"], status, "{call:#}");
        assert!(text(&call).contains(expected), "{tool}: {}", text(&call));
        assert!(ended.peak_memory < 96 << 20, "{tool}: {} bytes", ended.peak_memory);
    }
}

#[test]
fn a_server_gets_the_environment_of_the_file_and_no_secret() {
    let servers = yaml("", "").replace("DIR:", "TOKEN: '${GIVEN}', DIR:");
    let yaml = format!("{servers}agents:\n  a: {{model: offline, tools: [fx.env]}}\n");
    let ended = Crew::new(&yaml)
        .env("GIVEN", "token-0123456789")
        .env("OPENAI_API_KEY", "sk-very-secret-key")
        .env("OTHER", "no")
        .run();
    let call = only_call(&ended);
    let mut names: Vec<&str> =
        text(&call).lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.sort_unstable();
    assert_eq!(names, ["DIR", "FIXTURE_ROLE", "HOME", "PATH", "TOKEN"]);
    // A secret that the server returns is redacted.
    assert!(text(&call).contains("TOKEN=[redacted]"), "{}", text(&call));
    assert!(!ended.stdout.contains("token-0123456789"));
}

#[test]
fn the_example_of_the_docs_works() {
    let page = include_str!("../../../docs/mcp.md");
    let example = page.split("```yaml\n").find(|block| block.contains("mcp_servers:")).unwrap();
    let example = example.split("```").next().unwrap();
    // The test's server takes the place of the example's; its tools have other names.
    let program = std::env::current_exe().unwrap();
    let here = example
        .replace("command: npx", &format!("command: {:?}", program.to_str().unwrap()))
        .replace("[-y, \"@modelcontextprotocol/server-filesystem\", /var/log]", mcp_server::ARGS)
        .replace("roots: [/var/log]", "roots: [.]")
        .replace("LOG_LEVEL: info", "FIXTURE_ROLE: '', DIR: '${DIR}'")
        .replace("files.read_file", "files.read.file")
        .replace("files.*_directory", "files.*ho");
    let ended = Crew::new(&here)
        .env("FILES_TOKEN", "0123456789")
        .env("WIKI_TOKEN", "0123456789")
        .args(&["--offline"])
        .run();
    let report = ended.report(0);
    let agent = &report["agents"]["librarian"];
    let tools: Vec<&str> = agent["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["tool"].as_str().unwrap())
        .collect();
    assert_eq!(tools, ["files.read.file", "files.echo"]);
    // The server is not on this machine.
    assert_eq!(agent["notes"], json!(["skipped the tools of MCP server wiki: --offline"]));
}

#[test]
fn check_lists_servers_and_starts_them_only_on_request() {
    let crew = |tools: &str, args: &[&str]| {
        let servers = yaml("unhurried", "    confirm: true\n");
        let yaml = format!("{servers}agents:\n  a: {{model: offline, tools: [{tools}]}}\n");
        Crew::check(&yaml).args(args).run_as_is()
    };
    let plain = crew("fx.echo", &[]);
    assert_eq!(plain.status.code(), Some(0), "{}", plain.stderr);
    assert!(plain.stdout.contains("MCP server") && plain.stdout.contains("fx.echo"));
    let server = plain.stdout.lines().find(|line| line.trim_start().starts_with("fx ")).unwrap();
    let cells: Vec<&str> = server.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    assert_eq!(cells[2..], ["default", "none", "yes"], "{}", plain.stdout);
    assert!(lines(&plain, "starts").is_empty());
    let listed = crew("fx.echo", &["--tools"]);
    assert_eq!(listed.status.code(), Some(0), "{}", listed.stderr);
    let row = |name: &str| {
        let row = listed.stdout.lines().find(|line| line.trim_start().starts_with(name));
        row.unwrap_or_else(|| panic!("{}", listed.stdout)).to_owned()
    };
    assert!(row("echo").contains("read-only") && row("echo").contains("Says it again"));
    assert!(row("die").split_whitespace().eq(["die", "destructive"]));
    assert!(row("flood").split_whitespace().eq(["flood", "not", "destructive"]));
    assert_eq!(lines(&listed, "ends"), ["input closed"]);
    let wrong = crew("fx.nothing", &["--tools"]);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(wrong.stdout.contains("agent a: MCP server fx has no tool nothing"));
}

#[test]
fn startup_counts_against_the_agents_timeout() {
    let servers = yaml("mute stubborn", "");
    let yaml = formatdoc! {"
        limits: {{grace: 200ms}}
        {servers}agents:
          a: {{model: offline, tools: [fx], timeout: 300ms}}
    "};
    let ended = Crew::new(&yaml).run();
    let report = ended.report(1);
    assert_eq!(report["agents"]["a"]["error"]["scope"], "agent");
    assert!(ended.took < Duration::from_secs(5), "{:?}", ended.took);
    assert_eq!(report["cleanup"]["processes_killed"], 1, "{:#}", report["cleanup"]);
}
