//! MCP servers over HTTP.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script, whole};
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const SESSION: (&str, &str) = ("mcp-session-id", "session-1");

/// A server with one tool; `call` makes the responses to its calls.
fn server(call: impl Fn(&Value) -> Script + Send + Sync + 'static) -> ModelServer {
    ModelServer::start(move |request| answer(request, &call))
}

fn answer(request: &Request, call: &impl Fn(&Value) -> Script) -> Script {
    let message = &request.body;
    match message["method"].as_str() {
        Some("initialize") => {
            let version = &message["params"]["protocolVersion"];
            let result = json!({"protocolVersion": version, "capabilities": {"tools": {}},
                "serverInfo": {"name": "web", "version": "1"}});
            let body = response(message, &result).to_string();
            whole(200, &[("content-type", "application/json"), SESSION], body)
        }
        Some("tools/list") => {
            let tools = json!([{"name": "find", "inputSchema": {"type": "object"}}]);
            script::json_body(200, &response(message, &json!({"tools": tools})))
        }
        Some("tools/call") => call(message),
        // No stream for the server's messages; most servers have none.
        None => whole(405, &[], ""),
        Some(_) => whole(202, &[], ""),
    }
}

fn response(request: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": request["id"], "result": result})
}

fn found(request: &Value) -> Value {
    response(request, &json!({"content": [{"type": "text", "text": "found it"}]}))
}

fn crew(url: &str, more: &str) -> Crew {
    Crew::new(formatdoc! {"
        mcp_servers:
          web:
            url: '{url}'
            headers: {{authorization: 'Bearer ${{KEY}}'}}
        {more}agents:
          a: {{model: offline, tools: [web]}}
    "})
    .env("KEY", "token-0123456789")
}

#[test]
fn a_server_answers_as_json_or_as_a_stream_of_events() {
    let json = |request: &Value| script::json_body(200, &found(request));
    let events = |request: &Value| {
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress",
            "params": {"progressToken": 1, "progress": 1}});
        script::stream().event(&progress).event(&found(request))
    };
    for server in [server(json), server(events)] {
        let report = crew(&format!("{}/mcp", server.origin()), "").run().report(0);
        let call = &report["agents"]["a"]["tool_calls"][0];
        assert_eq!((&call["tool"], &call["output"]), (&json!("web.find"), &json!("found it")));
        let requests = server.requests();
        let first = &requests[0];
        assert_eq!(first.header("authorization"), Some("Bearer token-0123456789"));
        let call = requests.iter().find(|request| request.body["method"] == "tools/call").unwrap();
        assert_eq!(call.header("mcp-session-id"), Some("session-1"));
        assert!(call.header("mcp-protocol-version").is_some());
    }
}

#[test]
fn a_call_that_times_out_is_cancelled_and_one_that_fails_is_reported() {
    let silent = server(|_| script::hang());
    let report = crew(&silent.origin(), "    timeout: 300ms\n").run().report(0);
    let call = &report["agents"]["a"]["tool_calls"][0];
    assert_eq!(call["stopped_by"], "tool_timeout");
    silent.wait_for("the cancellation", |state| {
        state.requests.iter().any(|request| request.body["method"] == "notifications/cancelled")
    });

    let failing = server(|_| whole(500, &[], "token-0123456789 is no good"));
    let report = crew(&failing.origin(), "").run().report(0);
    let call = &report["agents"]["a"]["tool_calls"][0];
    assert_eq!(call["status"], "failed");
    let output = call["output"].as_str().unwrap();
    assert!(output.contains("MCP server web") && output.contains("500"), "{output}");
    assert!(!report.to_string().contains("token-0123456789"));
}

#[test]
fn ctrl_c_ends_a_call_at_once() {
    let silent = server(|_| script::hang());
    let running = crew(&silent.origin(), "").start();
    silent.wait_for("the call", |state| {
        state.requests.iter().any(|request| request.body["method"] == "tools/call")
    });
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    let ended = running.wait();
    assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    assert_eq!(ended.json()["agents"]["a"]["tool_calls"][0]["stopped_by"], "interrupted");
}

#[test]
fn the_session_is_closed_at_the_end_of_the_run() {
    let server = server(|request| script::json_body(200, &found(request)));
    crew(&server.origin(), "").run().report(0);
    server.wait_for("the end of the session", |state| {
        let last = state.requests.last();
        last.is_some_and(|last| {
            last.method == "DELETE" && last.header("mcp-session-id") == Some("session-1")
        })
    });
}

#[test]
fn an_endless_answer_is_rejected() {
    for flood in [
        |_: &Value| script::stream().raw("data: ").flood("x".repeat(1 << 16), 1 << 30),
        |_: &Value| {
            script::head(200, &[("content-type", "application/json")])
                .flood("x".repeat(1 << 16), 1 << 30)
        },
    ] {
        let server = server(flood);
        let ended = crew(&server.origin(), "    timeout: 20s\n").run();
        let report = ended.report(0);
        assert_ne!(report["agents"]["a"]["tool_calls"][0]["status"], "succeeded");
        assert!(ended.peak_memory < 96 << 20, "{}", ended.peak_memory);
    }
}

#[test]
fn an_unreachable_server_fails_the_agent() {
    let gone = ModelServer::always(whole(404, &[], "")).origin();
    for (url, expected) in [(gone, "refused"), ("http://127.0.0.1:1/mcp".to_owned(), "refused")] {
        let report = crew(&url, "").run().report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!(error["kind"], "tool");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("MCP server web") && message.contains(expected), "{message}");
    }
    let mute = ModelServer::always(script::hang());
    let report = crew(&mute.origin(), "    start_timeout: 300ms\n").run().report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("did not start within 300ms"), "{message}");
}

#[test]
fn an_address_without_an_mcp_server_is_reported() {
    const WHERE: &str = "is this the URL of a streamable HTTP endpoint?";
    let page = "<html>no such page";
    for (answer, expected) in [
        (whole(404, &[], page), format!("HTTP 404 Not Found ({WHERE})")),
        (whole(405, &[], "Use GET"), format!("HTTP 405 Method Not Allowed: Use GET ({WHERE})")),
        (whole(200, &[("content-type", "text/html")], page), format!("text/html ({WHERE})")),
        (
            whole(401, &[("www-authenticate", "Bearer")], ""),
            "require an authorization header".to_owned(),
        ),
        (script::redirect(302, "/elsewhere"), "redirects are not followed".to_owned()),
        (script::json_body(200, &json!({"a": 1})), "not an MCP message".to_owned()),
    ] {
        let report = crew(&ModelServer::always(answer).origin(), "").run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&expected), "{message}");
        assert!(!message.contains("page") && !message.contains("JsonRpc"), "{message}");
    }
}

#[test]
fn a_lost_session_is_reopened() {
    let calls = AtomicU64::new(0);
    let server = server(move |request| match calls.fetch_add(1, Ordering::Relaxed) {
        0 => whole(404, &[], ""),
        _ => script::json_body(200, &found(request)),
    });
    let ended = crew(&server.origin(), "").run();
    let report = ended.report(0);
    assert_eq!(report["agents"]["a"]["tool_calls"][0]["output"], "found it");
    assert!(ended.took < Duration::from_secs(10));
}

#[test]
fn a_response_with_another_id_answers_the_request() {
    let error = |id: Value| json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32000, "message": "no such page"}});
    type Answer = Box<dyn Fn(&Value) -> Script + Send + Sync>;
    let cases: [(Answer, &str, &str); 6] = [
        (Box::new(move |_| script::json_body(400, &error(Value::Null))), "failed", "no such page"),
        (
            Box::new(move |_| script::json_body(500, &error("server-error".into()))),
            "failed",
            "page",
        ),
        (Box::new(move |_| script::json_body(200, &error(Value::Null))), "failed", "no such page"),
        (Box::new(move |_| script::stream().event(&error(99.into()))), "failed", "no such page"),
        (
            Box::new(|request| {
                let mut answer = found(request);
                answer["id"] = answer["id"].to_string().into();
                script::json_body(200, &answer)
            }),
            "succeeded",
            "found it",
        ),
        (
            Box::new(|_| script::error(422, "the filter is malformed")),
            "failed",
            "422 Unprocessable Entity: {\"error\":{\"message\":\"the filter is malformed\"}}",
        ),
    ];
    for (answer, status, expected) in cases {
        let server = server(answer);
        let report = crew(&server.origin(), "    timeout: 20s\n").run().report(0);
        let call = &report["agents"]["a"]["tool_calls"][0];
        assert_eq!(call["status"], status, "{call:#}");
        assert!(call["output"].as_str().unwrap().contains(expected), "{call:#}");
        assert!(call["duration_ms"].as_u64().unwrap() < 5000, "{call:#}");
    }
}

#[test]
fn a_response_that_is_not_json_is_read_and_one_that_is_too_large_is_explained() {
    let content = "{\"content\":[{\"type\":\"text\",\"text\":\"a\\udcfc\tb\"}]}";
    let message = move |request: &Value| {
        format!(r#"{{"id":0,"jsonrpc":"2.0","result":{content},"id":{}}}"#, request["id"])
    };
    let vast = |request: &Value| {
        let text = "x".repeat(5 << 20);
        response(request, &json!({"content": [{"type": "text", "text": text}]})).to_string()
    };
    let body = |json: String| whole(200, &[("content-type", "application/json")], json);
    let event = |json: String| script::stream().raw(format!("data: {json}\r\n\r\n"));
    type Answer = Box<dyn Fn(&Value) -> Script + Send + Sync>;
    let cases: [(Answer, &str, &str); 4] = [
        (Box::new(move |request| body(message(request))), "succeeded", "a\u{fffd}\tb"),
        (Box::new(move |request| event(message(request))), "succeeded", "a\u{fffd}\tb"),
        (Box::new(move |request| body(vast(request))), "failed", "larger than 4 MiB"),
        (Box::new(move |request| event(vast(request))), "failed", "larger than 4 MiB"),
    ];
    for (answer, status, expected) in cases {
        let server = server(answer);
        let report = crew(&server.origin(), "    timeout: 20s\n").run().report(0);
        let call = &report["agents"]["a"]["tool_calls"][0];
        assert_eq!(call["status"], status, "{call:#}");
        assert!(call["output"].as_str().unwrap().contains(expected), "{call:#}");
    }
}
