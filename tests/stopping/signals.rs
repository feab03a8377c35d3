//! Stopping by signals and timeouts: in time, without leftover processes or lost results.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use crate::support::crew::{Crew, is_alive};
use indoc::indoc;
use nix::sys::signal::Signal;

/// A tool that writes its pid and then never ends.
const ENDLESS: &str = indoc! {r#"
    limits: {grace: 500ms}
    tools:
      endless:
        description: Never ends
        shell: |
          echo "before"
          echo $$ > "$DIR/pid"
          exec sleep 1000
        env: [DIR]
    agents:
      waiting: {model: offline, tools: [endless]}
      quick: {model: offline}
"#};

/// The same, but the tool ignores SIGTERM.
fn deaf() -> String {
    ENDLESS
        .replace("exec sleep 1000", "while :; do sleep 1000; done")
        .replace(r#"echo "before""#, r#"echo "before"; trap '' TERM INT HUP"#)
}

#[test]
fn each_signal_stops_the_tool_and_terminates_crew() {
    for (signal, reason) in [
        (Signal::SIGINT, "interrupted"),
        (Signal::SIGTERM, "terminated"),
        (Signal::SIGHUP, "hangup"),
    ] {
        let running = Crew::new(ENDLESS).start();
        let tool = running.pid_from("pid");
        running.wait_for_stderr("quick: succeeded");
        running.signal(signal);
        let asked = Instant::now();
        let ended = running.wait();
        assert!(asked.elapsed() < Duration::from_millis(1000), "{:?}", asked.elapsed());
        assert_eq!(ended.status.signal(), Some(signal as i32), "{}", ended.stderr);
        assert!(!is_alive(tool));
        let report = ended.json();
        assert_eq!(report["status"], "cancelled");
        assert_eq!(report["exit_code"], 128 + signal as i32);
        assert_eq!(report["reason"]["kind"], reason);
        assert_eq!(report["agents"]["quick"]["status"], "succeeded");
        let waiting = &report["agents"]["waiting"];
        assert_eq!(waiting["status"], "cancelled");
        let call = &waiting["tool_calls"][0];
        assert_eq!(call["status"], "cancelled", "{call:#}");
        assert_eq!(call["stopped_by"], reason);
        assert_eq!(call["signal"], "SIGTERM");
        assert_eq!(call["output"], "before\n");
        assert_eq!(report["cleanup"]["processes_stopped"], 1);
        assert_eq!(report["cleanup"]["processes_killed"], 0);
    }
}

#[test]
fn a_tool_that_ignores_its_signal_is_killed_after_the_grace_period() {
    let running = Crew::new(deaf()).start();
    let tool = running.pid_from("pid");
    running.signal(Signal::SIGINT);
    let asked = Instant::now();
    let ended = running.wait();
    assert!(asked.elapsed() >= Duration::from_millis(500), "the grace was not given");
    assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
    assert!(!is_alive(tool));
    let report = ended.json();
    assert_eq!(report["agents"]["waiting"]["tool_calls"][0]["signal"], "SIGKILL");
    assert_eq!(report["cleanup"]["processes_killed"], 2, "{:#}", report["cleanup"]);
}

#[test]
fn a_second_signal_ends_the_grace_period() {
    let running = Crew::new(deaf().replace("500ms", "60s")).start();
    let tool = running.pid_from("pid");
    running.signal(Signal::SIGINT);
    running.wait_for_stderr("stopping");
    running.signal(Signal::SIGTERM);
    let asked = Instant::now();
    let ended = running.wait();
    assert!(asked.elapsed() < Duration::from_millis(1000), "{:?}", asked.elapsed());
    assert!(!is_alive(tool));
    // The more severe of the two.
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
}

#[test]
fn the_timeout_of_the_run_keeps_partial_results() {
    let ended = Crew::new(ENDLESS).args(&["-t", "1s"]).run();
    let report = ended.report(124);
    assert_eq!(report["status"], "timed_out");
    assert_eq!(report["reason"]["kind"], "timeout");
    assert_eq!(report["agents"]["quick"]["status"], "succeeded");
    let waiting = &report["agents"]["waiting"];
    assert_eq!(waiting["status"], "timed_out");
    assert_eq!(waiting["error"]["kind"], "timeout");
    assert_eq!(waiting["error"]["scope"], "run");
    assert_eq!(waiting["tool_calls"][0]["output"], "before\n");
    assert_eq!(waiting["tool_calls"][0]["status"], "timed_out");
}

#[test]
fn the_timeout_of_an_agent_stops_its_tool_only() {
    let yaml = ENDLESS.replace("waiting: {", "waiting: {timeout: 700ms, ");
    let ended = Crew::new(&yaml).args(&["--keep-going"]).run();
    let report = ended.report(1);
    let waiting = &report["agents"]["waiting"];
    assert_eq!(waiting["status"], "timed_out");
    assert_eq!(waiting["error"]["scope"], "agent");
    assert_eq!(waiting["tool_calls"][0]["stopped_by"], "agent_timeout");
    assert_eq!(report["agents"]["quick"]["status"], "succeeded");
    assert_eq!(report["reason"], serde_json::Value::Null);
}

#[test]
fn endless_stdin_does_not_delay_the_timeout() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let ended = Crew::new(ENDLESS).stdin(reader.into()).args(&["-t", "200ms"]).run_as_is();
    let report = ended.report(124);
    assert_eq!(report["agents"]["quick"]["status"], "timed_out");
    assert_eq!(report["agents"]["quick"]["started_ms"], serde_json::Value::Null);
}

#[test]
fn the_user_signals_stop_nothing() {
    let yaml = "agents: {a: {shell: 'touch started; while ! [ -e go ]; do sleep 0.01; done'}}\n";
    let running = Crew::new(yaml).start();
    running.wait_for_file("started");
    running.signal(Signal::SIGUSR1);
    running.signal(Signal::SIGUSR2);
    std::fs::write(running.path("go"), "").unwrap();
    running.wait().report(0);
}
