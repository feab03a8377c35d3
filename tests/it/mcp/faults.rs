//! What servers get wrong costs one call, not the server, and is explained.

use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::mcp_server::yaml;
use crate::support::mock_model::ModelServer;
use crate::support::script;
use indoc::formatdoc;
use serde_json::{Value, json};

/// The only call of an agent that calls this tool.
fn call(role: &str, tool: &str) -> Value {
    let servers = yaml(role, "");
    let crew = format!("{servers}agents:\n  a: {{model: offline, tools: [fx.{tool}]}}\n");
    Crew::new(crew).run().report(0)["agents"]["a"]["tool_calls"][0].clone()
}

#[test]
fn a_result_that_is_too_large_costs_its_own_call() {
    for tool in ["vast", "vast_first", "wide"] {
        let name = format!("fx__{tool}");
        let nothing = json!({});
        let echo = json!({"text": "still here"});
        let model = ModelServer::sequence(vec![
            script::tool_calls(&[("fx__slow", &nothing), (&name, &nothing)]),
            script::tool_call("fx__echo", &echo),
            script::text("done"),
        ]);
        let servers = yaml("unhurried", "    timeout: 60s\n");
        let ended = Crew::new(formatdoc! {"
            providers: {{mock: {{api: openai, base_url: '{}'}}}}
            {servers}agents:
              a: {{model: mock/m, tools: [fx]}}
        ", model.base_url()})
        .run();
        let report = ended.report(0);
        let calls = report["agents"]["a"]["tool_calls"].as_array().unwrap();
        assert_eq!(calls[0]["output"], "slow", "the pending call goes on: {calls:#?}");
        assert_eq!(calls[1]["status"], "failed");
        let why = calls[1]["output"].as_str().unwrap();
        assert!(why.contains("larger than 4 MiB") || why.contains("200000 values"), "{why}");
        assert_eq!(calls[2]["output"], "still here");
        let starts = std::fs::read_to_string(ended.path().join("starts")).unwrap();
        assert_eq!(starts.lines().count(), 1, "{tool}");
        assert!(ended.peak_memory < 96 << 20, "{tool}: {} bytes", ended.peak_memory);
    }
}

#[test]
fn what_is_not_json_is_read_all_the_same() {
    for (tool, expected) in [
        ("halves", "a\u{fffd}b \u{1f600}\ttab"),
        ("not_numbers", r#"{"mean":null,"max":null}"#),
        ("equal", "1\n2.50"),
        ("lists", "{\n  \"rows\": [{\"n\": 7}]\n}"),
    ] {
        let call = call("", tool);
        assert_eq!((&call["status"], &call["output"]), (&json!("succeeded"), &json!(expected)));
    }
}

#[test]
fn a_repeated_or_empty_cursor_ends_the_list() {
    for role in ["repeats", "circles", "blank"] {
        assert_eq!(call(role, "read.file")["output"], "read", "{role}");
        assert_eq!(call(role, "ask")["status"], "succeeded", "{role}");
    }
}

#[test]
fn what_a_server_prints_instead_of_messages_is_shown() {
    let servers = yaml("prints", "");
    let started = Instant::now();
    let report = Crew::new(format!("{servers}agents:\n  a: {{model: offline, tools: [fx]}}\n"))
        .run()
        .report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("exit code 2") && message.contains("printed to stdout"), "{message}");
    assert!(message.ends_with("Usage: fixture --root DIR\nerror: --root is missing"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(5));

    // A program that is no MCP server at all, and one whose text has no end of a line.
    for (command, expected) in [
        ("echo token-0123456789 is no key", "\n[redacted] is no key"),
        ("printf 'usage: x'; exec sleep 60", "did not start within"),
    ] {
        let crew = formatdoc! {"
            mcp_servers:
              x: {{command: sh, args: [-c, \"{command}\"], env: {{TOKEN: '${{TOKEN}}'}}, start_timeout: 1s}}
            agents:
              a: {{model: offline, tools: [x]}}
        "};
        let report = Crew::new(crew).env("TOKEN", "token-0123456789").run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{message}");
    }
}
