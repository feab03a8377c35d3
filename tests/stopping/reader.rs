//! The reader of stdout closes it: crew stops the run and its costs, without a message.

use std::io::Read;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::crew::{Crew, is_alive};
use crate::support::mock_model::ModelServer;
use crate::support::script::hang;
use indoc::indoc;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;

/// A model that never answers and a tool that never ends.
const ENDLESS: &str = indoc! {r#"
    limits: {grace: 500ms}
    providers:
      mock: {api: openai, base_url: "${URL}"}
    tools:
      endless:
        description: Never ends
        shell: |
          echo $$ > "$DIR/pid"
          exec sleep 1000
        env: [DIR]
    agents:
      asking: {model: mock/m}
      waiting: {model: offline, tools: [endless]}
"#};

/// Runs until both agents are running, closes the read end, and checks that crew stops.
fn closed(reader: impl Sized, writer: OwnedFd) {
    let server = ModelServer::always(hang());
    let shared = writer.try_clone().unwrap();
    let crew = Crew::new(ENDLESS).env("URL", &server.base_url()).stdout(writer.into());
    let running = crew.start();
    let tool = running.pid_from("pid");
    server.wait_for("the call", |state| state.open_calls == 1);
    let flags = OFlag::from_bits_retain(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK), "other processes may share it");
    drop(reader);
    let closed = Instant::now();
    let ended = running.wait();
    assert!(closed.elapsed() < Duration::from_secs(1), "{:?}", closed.elapsed());
    assert!(!is_alive(tool));
    let state = server.wait_for("the connection's end", |state| state.hang_ups.len() == 1);
    let heard = state.hang_ups[0].saturating_duration_since(closed);
    assert!(heard < Duration::from_millis(500), "{heard:?}");
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("because stdout was closed"), "{}", ended.stderr);
    for word in ["error", "panic", "ipe", "kept"] {
        assert!(!ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

#[test]
fn a_closed_pipe_stops_the_run() {
    let (reader, writer) = std::io::pipe().unwrap();
    closed(reader, writer.into());
}

#[test]
fn a_closed_socket_stops_the_run() {
    let (reader, writer) = UnixStream::pair().unwrap();
    closed(reader, writer.into());
}

#[test]
fn nothing_starts_if_stdout_is_closed_already() {
    let server = ModelServer::always(hang());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let crew = Crew::new(ENDLESS).env("URL", &server.base_url()).stdout(writer.into());
    let ended = crew.run();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert_eq!(server.requests().len(), 0);
    assert!(!ended.path().join("pid").exists());
}

#[test]
fn other_kinds_of_stdout_do_not_stop_the_run() {
    let yaml = "tools: {t: {description: x, shell: 'sleep 0.3; echo done'}}\n\
                agents: {a: {model: offline, tools: [t]}}\n";
    // Neither of them has a reader that could close it.
    for stdout in [Stdio::null(), tempfile::tempfile().unwrap().into()] {
        let ended = Crew::new(yaml).stdout(stdout).run();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    // The report goes to a file.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = Crew::new(yaml).args(&["--output-file", "r.json"]).stdout(writer.into()).run();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    // A peer that shuts down its writing side still reads.
    let (mut reader, writer) = UnixStream::pair().unwrap();
    reader.shutdown(Shutdown::Write).unwrap();
    let running = Crew::new(yaml).stdout(OwnedFd::from(writer).into()).start();
    let mut report = String::new();
    reader.read_to_string(&mut report).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["agents"]["a"]["tool_calls"][0]["output"], "done\n");
    assert_eq!(running.wait().status.code(), Some(0));
}
