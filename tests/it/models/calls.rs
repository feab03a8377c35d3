//! Model calls over time: retries, waits, timeouts and cancellation.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, Script, stream};
use nix::sys::signal::Signal;
use serde_json::Value;

/// One agent on the server, with these settings.
fn crew(server: &ModelServer, agent: &str) -> Crew {
    crew_of(server, &format!("  a: {{model: mock/m{agent}}}\n"))
}

fn crew_of(server: &ModelServer, agents: &str) -> Crew {
    let provider =
        "providers:\n  mock: {api: openai, base_url: '${URL}', max_concurrency: '${MOST:-1000}'}\n";
    Crew::new(format!("{provider}agents:\n{agents}")).env("URL", &server.base_url())
}

#[test]
fn transient_failures_are_retried() {
    let cases: Vec<(&str, Script)> = vec![
        ("408", script::error(408, "x")),
        ("409", script::error(409, "x")),
        ("429", script::error(429, "x")),
        ("500", script::error(500, "x")),
        ("503", script::error(503, "x")),
        ("a stream that breaks before its first delta", stream().cut()),
        ("a stream that breaks after its first delta", stream().text("so far").cut()),
        ("a stream that is reset after its first delta", stream().text("so far").reset()),
        ("a stream that ends without an end of its answer", stream().text("so far")),
        ("a connection that is reset", script::Script::default().reset()),
    ];
    for (name, first) in cases {
        let server = ModelServer::sequence([first, script::text("mended")]);
        let report = crew(&server, "").run().report(0);
        assert_eq!(report["agents"]["a"]["output"], "mended", "{name}");
        assert_eq!(report["agents"]["a"]["retries"], 1, "{name}");
        assert_eq!(report["usage"]["model_calls"], 2, "{name}");
        assert_eq!(server.requests().len(), 2, "{name}");
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    for (name, script) in [
        ("400", script::error(400, "x")),
        ("401", script::error(401, "x")),
        ("404", script::error(404, "x")),
        ("a stream that is silent after its first delta", stream().text("so far").stall()),
    ] {
        let server = ModelServer::always(script);
        crew(&server, ", idle_timeout: 300ms").run().report(1);
        assert_eq!(server.requests().len(), 1, "{name}");
    }
}

#[test]
fn retries_are_limited() {
    let server = ModelServer::always(script::retry_after(503, "0"));
    let report = crew(&server, ", retries: 2").run().report(1);
    assert_eq!(server.requests().len(), 3);
    assert_eq!(report["agents"]["a"]["error"]["kind"], "overloaded");
    assert_eq!(report["agents"]["a"]["retries"], 2);
}

#[test]
fn a_refused_connection_is_a_network_error_with_its_address() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = ModelServer::always(script::hang());
    let crew = crew(&server, ", retries: 1").env("URL", &format!("http://127.0.0.1:{port}/v1"));
    let report = crew.run().report(1);
    let error = &report["agents"]["a"]["error"];
    assert_eq!(error["kind"], "network");
    assert!(error["message"].as_str().unwrap().contains(&format!("127.0.0.1:{port}")), "{error}");
    assert_eq!(report["agents"]["a"]["retries"], 1);
}

#[test]
fn retry_after_is_respected() {
    let server = ModelServer::sequence([script::retry_after(429, "1"), script::text("x")]);
    crew(&server, "").run().report(0);
    let [first, second] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
    assert!(second.arrived - first.arrived >= Duration::from_secs(1));
}

#[test]
fn a_retry_after_beyond_the_agents_timeout_is_not_awaited() {
    let server = ModelServer::always(script::retry_after(429, "3600"));
    let ended = crew(&server, ", timeout: 60s").run();
    assert!(ended.took < Duration::from_secs(30), "{:?}", ended.took);
    let error = ended.report(1)["agents"]["a"]["error"].clone();
    assert_eq!(error["kind"], "rate_limited");
    assert!(error["message"].as_str().unwrap().contains("not tried again"), "{error}");
}

#[test]
fn a_silent_server_meets_the_idle_timeout() {
    for (name, script, output) in [
        ("no head", script::hang(), Value::Null),
        ("no body", stream().stall(), Value::Null),
        ("in mid-stream", stream().text("so far").stall(), Value::from("so far")),
    ] {
        let server = ModelServer::always(script);
        let report = crew(&server, ", idle_timeout: 100ms").run().report(1);
        let agent = &report["agents"]["a"];
        assert_eq!(agent["status"], "timed_out", "{name}");
        assert_eq!(agent["error"]["kind"], "timeout", "{name}");
        assert_eq!(agent["error"]["scope"], "model", "{name}");
        assert_eq!(agent["output"], output, "{name}");
        server.wait_for("the call to be hung up", |state| state.open_calls == 0);
    }
}

#[test]
fn an_endless_stream_meets_the_agents_timeout() {
    let drip = stream().drip(": keep-alive\n".repeat(1000), Duration::from_millis(10));
    let server = ModelServer::always(drip);
    let report = crew(&server, ", idle_timeout: 5s, timeout: 300ms").run().report(1);
    let agent = &report["agents"]["a"];
    assert_eq!(
        (&agent["error"]["kind"], &agent["error"]["scope"]),
        (&"timeout".into(), &"agent".into())
    );
    server.wait_for("the call to be hung up", |state| state.open_calls == 0);
}

#[test]
fn ctrl_c_cancels_open_calls_and_keeps_partial_output() {
    let server = ModelServer::always(stream().text("so far").stall());
    let agents: String = (0..50).map(|n| format!("  a{n}: {{model: mock/m}}\n")).collect();
    let running = crew_of(&server, &agents).start();
    server.wait_for("all calls to be open", |state| state.open_calls == 50);
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    let ended = running.wait();
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    server.wait_for("all calls to be hung up", |state| state.hang_ups.len() == 50);
    let report = ended.json();
    assert_eq!(report["cleanup"]["model_calls_cancelled"], 50);
    assert_eq!(report["agents"]["a49"]["status"], "cancelled");
    assert_eq!(report["usage"]["model_calls"], 50);
}

#[test]
fn max_concurrency_limits_calls_to_an_endpoint() {
    let server =
        ModelServer::start(|_| script::delayed(Duration::from_millis(20), script::text("x")));
    let agents: String = (0..6).map(|n| format!("  a{n}: {{model: mock/m}}\n")).collect();
    crew_of(&server, &agents).env("MOST", "2").run().report(0);
    assert_eq!(server.state().peak_calls, 2);
}

#[test]
fn proxies_do_not_apply_to_this_machine() {
    let server = ModelServer::always(script::text("x"));
    let crew = crew(&server, "").env("http_proxy", "http://127.0.0.1:1");
    crew.env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("all_proxy", "http://127.0.0.1:1")
        .run()
        .report(0);
}
