//! The variants of OpenAI-compatible servers, through the whole program to the report.

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, Script, pieces, stream};
use indoc::formatdoc;
use serde_json::{Value, json};

const KEY: &str = "sk-test-0123456789abcdef";

fn yaml(agent: &str) -> String {
    formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '${{URL}}', api_key_env: MOCK_KEY}}
        tools:
          t:
            description: echoes
            command: [echo, 'n={{{{ n }}}}']
            parameters: {{n: {{type: integer, default: 0}}}}
        agents:
          a: {{model: mock/some/model, tools: [t]{agent}}}
    "}
}

fn crew(server: &ModelServer, agent: &str) -> Crew {
    Crew::new(yaml(agent)).env("URL", &server.base_url()).env("MOCK_KEY", KEY)
}

/// The one agent of a run; the server always answers with this script.
fn agent_for(script: Script) -> Value {
    let server = ModelServer::always(script);
    let ended = crew(&server, ", retries: 0, max_turns: 2").run();
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
    ended.json()["agents"]["a"].clone()
}

fn text_delta(text: &str) -> String {
    json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string()
}

fn stop() -> String {
    json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).to_string()
}

#[test]
fn answers_of_all_shapes_arrive_complete() {
    let (hel, lo, end) = (text_delta("héł"), text_delta("lo"), stop());
    let whole = |newline: &str| {
        format!("data: {hel}\n\n: keep-alive\n\ndata: {lo}\n\ndata: {end}\n\ndata: [DONE]\n\n")
            .replace('\n', newline)
    };
    let bytewise =
        |text: String| text.into_bytes().chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let cases: Vec<(&str, Script)> = vec![
        ("well-formed", stream().text("héł").text("lo").finish("stop").usage(1, 2).done()),
        (
            "content null",
            stream()
                .delta(json!({"role": "assistant", "content": null}))
                .text("héłlo")
                .finish("stop")
                .done(),
        ),
        ("CRLF", pieces(&[whole("\r\n")])),
        ("lone CR", pieces(&[whole("\r")])),
        ("every byte by itself", pieces(&bytewise(whole("\r\n")))),
        ("BOM", pieces(&[format!("\u{feff}{}", whole("\n"))])),
        ("no [DONE]", stream().text("héłlo").finish("stop")),
        ("no finish_reason", stream().text("héłlo").done()),
        (
            "no blank line at the end",
            pieces(&[format!("data: {hel}\n\ndata: {lo}\n\ndata: {end}")]),
        ),
        (
            "reasoning apart",
            stream()
                .delta(json!({"reasoning_content": "hm", "reasoning": "hm"}))
                .text("héłlo")
                .finish("stop")
                .done(),
        ),
        (
            "plain JSON",
            script::json_body(
                200,
                &json!({"choices": [{"index": 0, "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "héłlo"}}]}),
            ),
        ),
        (
            "usage in every chunk",
            stream()
                .event(&json!({"choices": [{"delta": {"content": "héłlo"}}], "usage": null}))
                .finish("stop")
                .done(),
        ),
        (
            "an event without choices",
            stream().event(&json!({"id": "x"})).text("héłlo").finish("stop").done(),
        ),
    ];
    for (name, script) in cases {
        let agent = agent_for(script);
        assert_eq!(agent["status"], "succeeded", "{name}: {agent:#}");
        assert_eq!(agent["output"], "héłlo", "{name}");
    }
}

#[test]
fn reported_tokens_are_counted() {
    let in_every_chunk = |tokens: u64| {
        json!({"choices": [{"delta": {"content": "x"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
    };
    for script in [
        stream().text("x").finish("stop").usage(7, 3).done(),
        stream().event(&in_every_chunk(1)).event(&in_every_chunk(3)).finish("stop").done(),
    ] {
        let usage = &agent_for(script)["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(7), &json!(3)));
    }
}

#[test]
fn tool_calls_of_all_shapes_are_run() {
    let arguments = "{\"n\":1}";
    let whole = |id: Value, arguments: Value| {
        json!({"index": 0, "id": id,
            "function": {"name": "t", "arguments": arguments}})
    };
    let fragment = |arguments: &str| json!({"index": 0, "function": {"arguments": arguments}});
    let end = |script: Script| script.finish("tool_calls").done();
    let one = |call: Value| end(stream().call(call));
    let cases: Vec<(&str, Script, &[i64])> = vec![
        ("whole", one(whole(json!("a"), json!(arguments))), &[1]),
        (
            "in fragments",
            end(stream()
                .call(whole(json!("a"), json!("")))
                .call(fragment("{\"n\""))
                .call(fragment(":1}"))),
            &[1],
        ),
        (
            "finish_reason wrong",
            stream().call(whole(json!("a"), json!(arguments))).finish("stop").done(),
            &[1],
        ),
        (
            "no index",
            one(json!({"id": "a", "function": {"name": "t", "arguments": arguments}})),
            &[1],
        ),
        (
            "no id",
            one(json!({"index": 0, "function": {"name": "t", "arguments": arguments}})),
            &[1],
        ),
        ("a number as id", one(whole(json!(7), json!(arguments))), &[1]),
        ("an object as arguments", one(whole(json!("a"), json!({"n": 1}))), &[1]),
        ("no arguments", one(whole(json!("a"), json!(""))), &[0]),
        ("two", script::tool_calls(&[("t", &json!({"n": 1})), ("t", &json!({"n": 2}))]), &[1, 2]),
        (
            "two with one index",
            end(stream()
                .call(whole(json!("a"), json!(arguments)))
                .call(whole(json!("b"), json!("{\"n\":2}")))),
            &[1, 2],
        ),
        (
            "in plain JSON",
            script::json_body(
                200,
                &json!({"choices": [{"finish_reason": "tool_calls", "message": {"content": null,
                    "tool_calls": [whole(json!("a"), json!(arguments))]}}]}),
            ),
            &[1],
        ),
    ];
    for (name, first, expected) in cases {
        let server = ModelServer::sequence([first, script::text("done")]);
        let ended = crew(&server, ", retries: 0").run();
        let agent = ended.report(0)["agents"]["a"].clone();
        let outputs: Vec<_> = agent["tool_calls"]
            .as_array()
            .unwrap()
            .iter()
            .map(|call| call["output"].clone())
            .collect();
        let expected: Vec<_> = expected.iter().map(|n| json!(format!("n={n}\n"))).collect();
        assert_eq!(outputs, expected, "{name}");
        let second = &server.requests()[1];
        let ids: Vec<_> = second
            .messages()
            .iter()
            .filter(|message| message["role"] == "tool")
            .map(|message| message["tool_call_id"].clone())
            .collect();
        let asked: Vec<_> = second
            .messages()
            .iter()
            .filter_map(|message| message["tool_calls"].as_array())
            .flatten()
            .map(|call| call["id"].clone())
            .collect();
        assert_eq!(ids, asked, "{name}: each result answers its call");
    }
}

#[test]
fn errors_in_unexpected_places_are_read() {
    let says = json!({"error": {"message": "so says the server", "code": "rate_limit_exceeded"}});
    let redirect = script::whole(307, &[("location", "http://127.0.0.1:1/")], "");
    for (name, script, kind, words) in [
        ("the body of a 200", script::json_body(200, &says), "rate_limited", "so says the server"),
        ("no HTTP", script::garbage("SSH-2.0-OpenSSH\r\n"), "network", "mock: "),
        ("a redirect", redirect, "bad_request", "redirects to http://127.0.0.1:1/"),
        ("a key", script::error(400, &format!("bad key {KEY}")), "bad_request", "[redacted]"),
    ] {
        let server = ModelServer::always(script);
        let ended = crew(&server, ", retries: 0").run();
        assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
        let error = ended.json()["agents"]["a"]["error"].clone();
        assert_eq!(error["kind"], kind, "{name}: {error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{name}: {error}");
        assert_eq!(server.requests()[0].model(), "some/model");
    }
}

#[test]
fn an_echoed_key_reaches_neither_a_tool_nor_the_report() {
    let asks = script::tool_calls(&[(KEY, &json!({"n": KEY})), ("t", &json!({"n": 1, KEY: KEY}))]);
    let server = ModelServer::sequence([asks, script::text(&format!("your key is {KEY}"))]);
    let ended = crew(&server, "").args(&["-v"]).run();
    let agent = ended.report(0)["agents"]["a"].clone();
    assert_eq!(agent["output"], "your key is [redacted]");
    assert_eq!(agent["tool_calls"][0]["tool"], "[redacted]");
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
}
