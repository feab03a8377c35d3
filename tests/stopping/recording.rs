//! Signals while a run is recorded: all lines but a torn last one are whole, and it can be used.

use std::time::Duration;

use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{delayed, stream, text, tool_call};
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Runs that are stopped, each a little later than the one before.
const STOPS: usize = 50;
const AGENTS: usize = 12;
const SIGNALS: [Signal; 4] = [Signal::SIGINT, Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL];

#[test]
fn a_recording_that_is_stopped_at_any_moment_is_whole() {
    let reply = |request: &Request| {
        let pause = Duration::from_millis(request.open_calls as u64 * 7 % 60);
        match request.messages().len() {
            1 if request.open_calls.is_multiple_of(3) => stream().text("begun").stall(),
            1..4 => delayed(pause, tool_call("shout", &json!({"word": "é".repeat(50_000)}))),
            _ => delayed(pause, text(&"é".repeat(100_000))),
        }
    };
    let agents: String = (0..AGENTS).map(|at| format!("  a{at}: {{prompt: p{at}}}\n")).collect();
    let mut recorded = 0;
    for stop in 0..STOPS {
        let server = ModelServer::start(reply);
        let yaml = formatdoc! {"
            limits: {{grace: 100ms}}
            defaults: {{model: mock/m, tools: [shout]}}
            providers: {{mock: {{api: openai, base_url: '{}'}}}}
            tools: {{shout: {{shell: 'echo loud', parameters: {{word: {{type: string}}}}}}}}
            agents:
            {agents}
        ", server.base_url()};
        let running = Crew::new(&yaml).args(&["--record", "r.jsonl"]).start();
        // A third of the agents at most stall: so many requests always come.
        let awaited = stop * AGENTS / STOPS;
        server.wait_for("the requests", |state| state.requests.len() >= awaited);
        std::thread::sleep(Duration::from_millis(stop as u64 * 7 % 60));
        let signal = SIGNALS[stop % SIGNALS.len()];
        running.signal(signal);
        let ended = running.wait();
        // It may have been killed before it opened the file.
        let Ok(bytes) = std::fs::read(ended.path().join("r.jsonl")) else { continue };
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        // The kernel gives up a write of several pages in the middle of it for SIGKILL alone.
        assert!(end == bytes.len() || signal == Signal::SIGKILL, "stop {stop}: a torn line");
        let lines = str::from_utf8(&bytes[..end]).unwrap();
        let kinds = lines.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| {
                panic!("stop {stop}: {error} in a line of {} bytes", line.len())
            });
            line["kind"].as_str().unwrap().to_owned()
        });
        let kinds: Vec<String> = kinds.collect();
        assert!(kinds.first().is_none_or(|kind| kind == "recording"), "{kinds:?}");
        recorded += kinds.len().saturating_sub(1);
        let replay = Crew::at(ended.path()).args(&["run", "--replay", "r.jsonl", "-t", "50ms"]);
        let replayed = replay.run();
        assert_ne!(replayed.status.code(), Some(2), "stop {stop}: {}", replayed.stderr);
    }
    assert!(recorded > 0, "nothing was recorded before a stop");
}
