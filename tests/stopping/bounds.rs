//! Bounds: each wait ends by its own limit, which the report names, and no server exhausts crew's
//! memory.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use crate::support::script::{Script, delayed, hang, head, stream, text, whole};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use indoc::formatdoc;
use serde_json::{Value, json};

/// The maximum of crew's resident memory.
const MAX_MEMORY: u64 = 64 << 20;
const GIB: u64 = 1 << 30;

fn crew_at(base_url: &str, agent: &str) -> Crew {
    Crew::new(formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '{base_url}'}}
        agents:
          a: {{model: mock/m, retries: 0, {agent}}}
    "})
}

#[track_caller]
fn assert_small(name: &str, ended: &Ended) {
    let peak = ended.peak_memory;
    assert!(peak < MAX_MEMORY, "{name}: {} MiB", peak >> 20);
}

/// The one agent of a failed run, after checks of its time and memory.
#[track_caller]
fn failure(name: &str, crew: Crew) -> Value {
    let ended = crew.run();
    assert_small(name, &ended);
    assert!(ended.took < Duration::from_secs(15), "{name}: {:?}", ended.took);
    ended.report(1)["agents"]["a"].clone()
}

#[track_caller]
fn expect(name: &str, script: Script, agent: &str, kind: &str, scope: Value, words: &str) {
    let server = ModelServer::always(script);
    let found = failure(name, crew_at(&server.base_url(), agent));
    let error = &found["error"];
    assert_eq!((error["kind"].as_str(), &error["scope"]), (Some(kind), &scope), "{name}: {found}");
    assert!(error["message"].as_str().unwrap().contains(words), "{name}: {error}");
    assert_eq!(server.requests().len(), 1, "{name}");
}

#[test]
fn a_slow_stream_meets_the_agents_timeout() {
    let pause = Duration::from_millis(100);
    let slow = (0..1000).fold(stream(), |script, _| script.text("x").delay(pause));
    let comments = (0..1000).fold(stream(), |script, _| script.raw(": alive\n\n").delay(pause));
    for (name, script) in [
        ("a byte at a time", stream().drip("x".repeat(1000), pause)),
        ("a word at a time", slow),
        ("comments at their leisure", comments),
        ("comments at full speed", stream().flood(": alive\n\n", 1 << 40)),
        ("compressed comments", bomb(200, ": alive\n\n")),
    ] {
        let limits = "timeout: 1s, idle_timeout: 500ms";
        expect(name, script, limits, "timeout", json!("agent"), "no answer within 1s");
    }
}

#[test]
fn an_endless_head_meets_the_idle_timeout() {
    let begun = || Script::default().bytes("HTTP/1.1 200 OK\r\n");
    let pause = Duration::from_millis(100);
    let dripping = |bytes: &str| (0..1000).fold(begun(), |s, _| s.bytes(bytes).delay(pause));
    let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100_000);
    for (name, script) in [
        ("nothing more of it comes", begun().bytes("x: y").stall()),
        ("a byte of it now and then", dripping("x")),
        ("a line of it now and then", dripping("x: y\r\n")),
        ("interim heads only", Script::default().bytes(interim).stall()),
    ] {
        let words = "no data from 127.0.0.1";
        expect(name, script, "idle_timeout: 500ms", "timeout", json!("model"), words);
    }
    for (name, endless) in [
        ("a line without end", "x".repeat(4 << 20)),
        ("lines without end", "x: y\r\n".repeat(1 << 20)),
    ] {
        let words = "the connection to 127.0.0.1";
        expect(name, begun().bytes(endless).stall(), "", "network", Value::Null, words);
    }
    let chunk = format!("{}0;{}", "transfer-encoding: chunked\r\n\r\n", "x".repeat(4 << 20));
    expect("a chunk's head", begun().bytes(chunk).stall(), "", "network", Value::Null, "broke");
}

#[test]
fn an_endless_body_meets_max_answer() {
    let delta = json!({"choices": [{"delta": {"content": "x".repeat(1000)}}]});
    let event = format!("data: {delta}\n\n");
    for (name, script) in [
        ("a line", stream().flood("x", GIB)),
        ("an event's line", stream().raw("data: ").flood("x".repeat(8192), GIB)),
        ("an event", stream().flood("data: x\n", GIB)),
        ("text", stream().flood(&event, GIB)),
        ("a plain answer", stream().raw("{\"a\": \"").flood("x", GIB)),
        ("a compressed line", bomb(200, &"x".repeat(8192))),
        ("compressed text", bomb(200, &event)),
    ] {
        expect(name, script, "", "invalid_response", Value::Null, "max_answer (1 MiB)");
    }
    for (name, script) in
        [("an error", head(500, &[]).flood("x", GIB)), ("a compressed error", bomb(500, "x"))]
    {
        expect(name, script, "", "overloaded", Value::Null, "HTTP 500");
    }
}

/// Some 100 GB of this piece, compressed by a factor of a thousand.
fn bomb(status: u16, piece: &str) -> Script {
    let block = piece.repeat((1 << 20) / piece.len());
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    // After a flush the encoder starts afresh, so the following bytes can be repeated.
    encoder.flush().unwrap();
    let empty = std::mem::take(encoder.get_mut());
    encoder.write_all(block.as_bytes()).unwrap();
    encoder.flush().unwrap();
    let compressed = std::mem::take(encoder.get_mut());
    let headers = [("content-encoding", "gzip"), ("content-type", "text/event-stream")];
    let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    head(status, &headers).raw(gzip).raw(empty).flood(compressed, 100 << 20)
}

#[test]
fn circular_redirects_are_not_followed() {
    let circle = whole(307, &[("location", "/v1/chat/completions")], "");
    expect("a circle", circle, "", "bad_request", Value::Null, "redirects to http://127.0.0.1");
}

#[test]
fn an_unanswered_connect_times_out() {
    let hole = BlackHole::open();
    let found = failure("a black hole", crew_at(&format!("http://{}/v1", hole.address), ""));
    let error = &found["error"];
    assert_eq!((&error["kind"], &error["scope"]), (&json!("timeout"), &json!("model")), "{found}");
    let words = format!("cannot connect to {} within 10s", hole.address);
    assert!(error["message"].as_str().unwrap().contains(&words), "{error}");
}

/// A listener with a full backlog that accepts nothing: the system ignores further connections.
struct BlackHole {
    address: SocketAddr,
    _held: (std::net::TcpListener, Vec<TcpStream>),
}

impl BlackHole {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500)).ok();
        let waiting: Vec<_> = std::iter::from_fn(connect).take(1000).collect();
        assert!(waiting.len() < 1000, "there is always a place left");
        Self { address, _held: (listener, waiting) }
    }
}

#[test]
fn endless_input_is_rejected() {
    let zeros = File::open("/dev/zero").unwrap();
    let ended = crew_at("http://127.0.0.1:1", "").stdin(zeros.into()).run_as_is();
    assert_small("zeros", &ended);
    let message = ended.report(2)["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("larger than 16 MiB"), "{message}");
}

#[test]
fn an_input_pipe_without_a_writer_meets_the_timeout_of_the_run() {
    let crew = crew_at("http://127.0.0.1:1", "").args(&["--input-file", "pipe", "-t", "300ms"]);
    nix::unistd::mkfifo(&crew.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let report = crew.run_as_is().report(124);
    assert_eq!(report["agents"]["a"]["started_ms"], Value::Null);
}

/// A hundred agents on this server, with at most 64 open files.
fn few_files(server: &ModelServer, agent: &str) -> Crew {
    let agents: String =
        (0..100).map(|n| format!("  a{n}: {{model: mock/m, {agent}}}\n")).collect();
    let provider = format!("  mock: {{api: openai, base_url: '{}'}}\n", server.base_url());
    let yaml = formatdoc! {"
        limits: {{on_failure: continue}}
        providers:
        {provider}agents:
        {agents}"};
    Crew::new(&yaml).through("ulimit -n 64")
}

#[test]
fn a_lack_of_descriptors_fails_single_model_calls() {
    let server = ModelServer::always(hang());
    let ended = few_files(&server, "retries: 0, timeout: 1s").run();
    let report = ended.report(1);
    let agents = report["agents"].as_object().unwrap();
    let (without, with): (Vec<_>, Vec<_>) =
        agents.values().partition(|agent| agent["error"]["kind"] == "network");
    assert!(!without.is_empty() && !with.is_empty(), "{} {}", without.len(), with.len());
    for agent in without {
        let message = agent["error"]["message"].as_str().unwrap();
        assert!(message.contains("open files") && message.contains("ulimit -n"), "{message}");
    }
    assert!(with.iter().all(|agent| agent["status"] == "timed_out"), "{report:#}");
}

#[test]
fn calls_without_a_descriptor_are_retried() {
    let server = ModelServer::always(delayed(Duration::from_secs(1), text("hi")));
    let report = few_files(&server, "retries: 10").run().report(0);
    let agents = report["agents"].as_object().unwrap();
    assert_eq!(agents.len(), 100);
    assert!(agents.values().any(|agent| agent["retries"] != 0), "there were files enough");
}
