//! HTTP tools: responses, redirects and timeouts.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::http_tool::{TEXT, call_of, crew, ok, one, output, yaml};
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, redirect, whole};
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

#[test]
fn the_status_decides_the_result_and_the_body_is_kept() {
    let json = [("content-type", "application/json")];
    let octets = [("content-type", "image/png")];
    for (answer, status, text) in [
        (whole(200, &json, r#"{"a": [1]}"#), "succeeded", r#"{"a": [1]}"#),
        (whole(201, &[], "plain"), "succeeded", "plain"),
        (whole(204, &[], ""), "succeeded", "[HTTP 204 No Content]"),
        (whole(200, &octets, vec![0; 3000]), "succeeded", "[binary: image/png, 3000 bytes]"),
        (whole(500, &json, r#"{"e":1}"#), "failed", "{\"e\":1}\n[HTTP 500 Internal Server Error]"),
        (whole(404, &[], ""), "failed", "[HTTP 404 Not Found]"),
        (whole(304, &[], ""), "failed", "[HTTP 304 Not Modified]"),
        (whole(302, &[], "no location"), "failed", "no location\n[HTTP 302 Found]"),
    ] {
        let server = ModelServer::always(answer);
        let call = call_of(&crew(&server, "http: {url: '${URL}/x'}").run());
        assert_eq!((&call["status"], output(&call)), (&json!(status), text), "{call:#}");
        assert_eq!((&call["exit_code"], &call["signal"]), (&Value::Null, &Value::Null));
        assert_eq!(one(&server).method, "GET");
    }
}

#[test]
fn a_head_request_returns_the_headers() {
    let headers = [("x-found", "yes"), ("set-cookie", "session=secret"), ("content-length", "9")];
    let server = ModelServer::always(script::Script::default().bytes(
        headers.iter().fold("HTTP/1.1 200 OK\r\n".to_owned(), |head, (name, value)| {
            format!("{head}{name}: {value}\r\n")
        }) + "\r\n",
    ));
    let call = call_of(&crew(&server, "http: {method: HEAD, url: '${URL}/x'}").run());
    assert_eq!(output(&call), "x-found: yes\ncontent-length: 9\n");
    assert_eq!(one(&server).method, "HEAD");
}

#[test]
fn a_long_answer_keeps_its_head_and_its_tail() {
    let server = ModelServer::always(
        script::head(200, &TEXT).raw("first ").flood("spam ", 8 << 20).raw("last"),
    );
    let ended = crew(&server, "http: {url: '${URL}/x'}\nmax_output: 2KiB").run();
    let call = call_of(&ended);
    assert_eq!((&call["truncated"], &call["status"]), (&json!(true), &json!("succeeded")));
    assert!(output(&call).starts_with("first spam") && output(&call).ends_with("spam last"));
    assert!(output(&call).len() < 2 * 1024 + 60);
}

#[test]
fn an_endless_answer_uses_bounded_memory() {
    // Plain, and compressed by a factor of a thousand.
    let zeros = vec![b'0'; 1 << 20];
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        (0..100).for_each(|_| encoder.write_all(&zeros).unwrap());
        encoder.finish().unwrap()
    };
    let gzip = [("content-type", "text/plain"), ("content-encoding", "gzip")];
    for answer in [script::head(200, &TEXT).flood("spam ", 1 << 40), whole(200, &gzip, bomb)] {
        let server = ModelServer::always(answer);
        let ended = crew(&server, "http: {url: '${URL}/x'}\ntimeout: 20s").run();
        let call = call_of(&ended);
        assert_eq!((&call["truncated"], &call["status"]), (&json!(true), &json!("succeeded")));
        assert!(output(&call).contains("[the rest of the response was not read"), "{call:#}");
        assert!(output(&call).len() < 65 * 1024);
        assert!(ended.peak_memory < 64 << 20, "{} bytes", ended.peak_memory);
    }
}

#[test]
fn a_redirect_is_followed_as_a_browser_does() {
    for (method, status, then, repeated) in [
        ("GET", 302, "GET", false),
        ("POST", 301, "GET", false),
        ("POST", 302, "GET", false),
        ("PUT", 303, "GET", false),
        ("POST", 307, "POST", true),
        ("PUT", 308, "PUT", true),
        ("PUT", 302, "PUT", true),
    ] {
        let server = ModelServer::start(move |request| match request.path.as_str() {
            "/a/b" => redirect(status, "../c?d=e#f"),
            _ => ok(),
        });
        let body = if method == "GET" { "" } else { ", body: {x: 1}" };
        let tool = format!(
            "http: {{method: {method}, url: '${{URL}}/a/b', query: {{q: 1}}, \
             headers: {{x-team: t}}{body}}}"
        );
        let call = call_of(&crew(&server, &tool.replace("/a/b', query: {q: 1}", "/a/b'")).run());
        assert_eq!((output(&call), &call["http_status"]), ("fine", &json!(200)));
        let requests = server.requests();
        let last = &requests[1];
        assert_eq!(
            (last.method.as_str(), last.path.as_str()),
            (then, "/c?d=e"),
            "{method} {status}"
        );
        assert_eq!(last.body == json!({"x": 1}), repeated, "{method} {status}");
        assert_eq!(last.header("content-type").is_some(), repeated, "{method} {status}");
        assert_eq!(last.header("x-team"), Some("t"));
    }
}

#[test]
fn a_redirect_leads_to_listed_hosts_only_and_takes_no_credentials_there() {
    let other = ModelServer::always(ok());
    let there = format!("http://localhost:{}/there", other.address().port());
    let target = there.clone();
    let server = ModelServer::start(move |request| {
        let status = request.path[1..].parse().unwrap();
        redirect(status, &target)
    });
    let headers = "headers: {authorization: 'Bearer 0123456789', x-custom: c, accept: text/plain}";
    let allow = format!("allow_hosts: ['localhost:{}']", other.address().port());

    let tool = format!("http: {{url: '${{URL}}/302', {headers}, {allow}}}");
    assert_eq!(output(&call_of(&crew(&server, &tool).run())), "fine");
    let seen = one(&other);
    assert_eq!((seen.header("authorization"), seen.header("x-custom")), (None, None));
    assert_eq!(seen.header("accept"), Some("text/plain"));

    let tool = format!("http: {{url: '${{URL}}/302', {headers}}}");
    let call = call_of(&crew(&server, &tool).run());
    let host = format!("localhost:{}", other.address().port());
    let why = format!("[HTTP 302 Found: it redirects to {host}, which allow_hosts does not list]");
    assert_eq!((output(&call), &call["http_status"]), (why.as_str(), &json!(302)));

    let tool = "http: {url: '${URL}/302', allow_hosts: [localhost]}";
    let call = call_of(&crew(&server, tool).run());
    let why =
        format!("{host}, which allow_hosts does not list (\"localhost\" covers another port)");
    assert!(output(&call).contains(&why), "{call:#}");

    let tool = format!("http: {{url: '${{URL}}/307', body: {{x: 1}}, {allow}}}");
    let call = call_of(&crew(&server, &tool).run());
    assert!(output(&call).contains("crew does not repeat a POST there"), "{call:#}");
    assert_eq!(other.requests().len(), 1);
}

#[test]
fn endless_redirects_fail() {
    let server = ModelServer::always(redirect(302, "/again"));
    let call = call_of(&crew(&server, "http: {url: '${URL}/'}").run());
    assert_eq!(
        (output(&call), &call["status"]),
        ("[too many redirects (limit 5)]", &json!("failed"))
    );
    assert_eq!(server.requests().len(), 6);
}

#[test]
fn redirects_to_forbidden_addresses_are_rejected_unsent() {
    for (location, why) in [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254, a link-local address"),
        ("//2852039166/latest", "169.254.169.254, a link-local address"),
        ("http://[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe], a link-local address"),
        ("http://[fe80::1]/", "[fe80::1], a link-local address"),
        ("http://[fd00:ec2::254]/", "a cloud metadata address"),
        ("http://100.100.100.200/", "a cloud metadata address"),
        ("http://localhost:1/", "localhost:1, which allow_hosts does not list"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://[", "an invalid URL"),
    ] {
        let server = ModelServer::always(redirect(302, location));
        let started = Instant::now();
        let call = call_of(&crew(&server, "http: {url: '${URL}/'}").run());
        assert_eq!((&call["status"], &call["http_status"]), (&json!("failed"), &json!(302)));
        assert!(output(&call).contains(why), "{location}: {call:#}");
        assert!(started.elapsed() < Duration::from_secs(5), "it was tried");
    }
}

#[test]
fn a_timeout_keeps_the_partial_answer() {
    for (answer, kept) in
        [(script::hang(), ""), (script::head(200, &TEXT).raw("begun").stall(), "begun\n")]
    {
        let server = ModelServer::always(answer);
        let call = call_of(&crew(&server, "http: {url: '${URL}/'}\ntimeout: 700ms").run());
        assert_eq!(
            (&call["status"], &call["stopped_by"]),
            (&json!("timed_out"), &json!("tool_timeout"))
        );
        assert_eq!(output(&call), format!("{kept}[stopped: it exceeded its timeout of 700ms]"));
        assert!(call["duration_ms"].as_u64().unwrap() < 1500);
        server.wait_for("the connection to be closed", |state| state.open_connections == 0);
    }
}

#[test]
fn ctrl_c_cancels_all_requests_at_once() {
    const CALLS: usize = 30;
    let server = ModelServer::always(script::hang());
    let agents: String =
        (0..CALLS).map(|n| format!("  a{n}: {{model: offline, tools: [t]}}\n")).collect();
    let yaml = formatdoc! {"
        tools:
          t:
            description: x
            http: {{url: '${{URL}}/'}}
        agents:
        {agents}"};
    let running = Crew::new(&yaml).env("URL", &server.origin()).start();
    server.wait_for("every request", |state| state.open_calls == CALLS);
    let asked = Instant::now();
    running.signal(Signal::SIGINT);
    let state =
        server.wait_for("every connection to be closed", |state| state.open_connections == 0);
    let last = *state.hang_ups.iter().max().unwrap();
    let ended = running.wait();
    // The README promises 50 ms; the machine may be busy.
    assert!(last - asked < Duration::from_millis(500), "{:?}", last - asked);
    let report = ended.json();
    assert_eq!(report["reason"]["kind"], "interrupted");
    assert_eq!(report["cleanup"]["http_calls_cancelled"], CALLS);
    assert_eq!(report["agents"]["a7"]["tool_calls"][0]["status"], "cancelled");
    assert_eq!(report["agents"]["a7"]["tool_calls"][0]["stopped_by"], "interrupted");
}

#[test]
fn connection_failures_are_results() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = Crew::new(yaml("http: {url: '${URL}/secret-path?k=v'}"))
        .env("URL", &format!("http://{free}"))
        .run();
    let call = call_of(&ended);
    assert_eq!(output(&call), format!("[cannot connect to {free}: connection refused]"));
    assert_eq!(call["status"], "failed");

    for (answer, start) in [
        (script::garbage("no HTTP\r\n\r\n"), "[the connection to 127.0.0.1:"),
        (script::head(200, &TEXT).raw("begun").cut(), "begun\n[the response from 127.0.0.1:"),
        (
            whole(200, &[("content-type", "text/plain"), ("content-encoding", "gzip")], "no gzip"),
            "[the response from 127.0.0.1:",
        ),
    ] {
        let server = ModelServer::always(answer);
        let call = call_of(&crew(&server, "http: {url: '${URL}/'}").run());
        assert_eq!(call["status"], "failed");
        assert!(output(&call).starts_with(start), "{call:#}");
    }
}
