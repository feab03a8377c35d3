//! Stopping a run at each stage of control flow: in a step, an instance and a check.

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::crew::{Crew, is_alive};

/// Writes its pid and never ends, and has a child that ignores signals.
const ENDLESS: &str = r#"(trap '' TERM INT HUP; while :; do sleep 1000; done) & echo begun; echo $$ > "$DIR/pid"; exec sleep 1000"#;

/// The agent `busy`, which is at this stage, and where its end is in the report.
const STAGES: [(&str, &str, &str); 3] = [
    ("step", "shell: SHELL, env: [DIR]", ""),
    (
        "instance",
        "for_each: ['true', LINE], max_parallel: 1, command: [sh, -c, '{{ item }}'], env: [DIR]",
        "/items/1",
    ),
    ("check", "model: offline, check: {shell: SHELL, env: [DIR]}", ""),
];

/// A crew with an answer, an agent at a stage, and one that waits for the end of that.
fn crew(work: &str, limits: &str) -> Crew {
    let line = json!(ENDLESS).to_string();
    let work = work.replace("SHELL", &line).replace("LINE", &line);
    Crew::new(formatdoc! {"
        limits: {{grace: 200ms{limits}}}
        agents:
          ready: {{command: [echo, answer]}}
          busy: {{needs: [ready], {work}}}
          after: {{needs: {{busy: done}}, command: [touch, started]}}
    "})
}

fn check_report(report: &Value, stage: &str, at: &str, status: &str) {
    let agents = &report["agents"];
    assert_eq!(agents["ready"]["output"], "answer\n", "{stage}");
    let busy = agents["busy"].pointer(at).unwrap();
    assert_eq!(busy["status"], status, "{stage}: {busy:#}");
    assert_eq!(agents["busy"]["status"], status, "{stage}");
    assert!(agents["after"]["started_ms"].is_null(), "{stage}: {:#}", agents["after"]);
    assert_eq!(report["cleanup"]["survivors"], json!([]), "{stage}");
    match stage {
        "step" => assert_eq!(busy["output"], "begun\n"),
        "instance" => {
            assert_eq!(busy["output"], "begun\n");
            assert_eq!(agents["busy"]["items"][0]["status"], "succeeded");
        }
        _ => {
            assert!(busy["output"].is_string(), "the answer is kept: {busy:#}");
            let check = &busy["checks"][0];
            assert_eq!((&check["status"], &check["output"]), (&json!(status), &json!("begun\n")));
        }
    }
}

#[test]
fn a_signal_stops_every_stage() {
    for (stage, work, at) in STAGES {
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let running = crew(work, "").start();
            let pid = running.pid_from("pid");
            running.signal(signal);
            let asked = Instant::now();
            let ended = running.wait();
            assert!(asked.elapsed() < Duration::from_millis(1500), "{:?}", asked.elapsed());
            assert_eq!(ended.status.signal(), Some(signal as i32), "{stage}: {}", ended.stderr);
            assert!(!is_alive(pid) && !ended.path().join("started").exists(), "{stage}");
            let report = ended.json();
            assert_eq!(report["status"], "cancelled");
            check_report(&report, stage, at, "cancelled");
        }
    }
}

#[test]
fn the_time_limit_of_the_run_stops_every_stage() {
    for (stage, work, at) in STAGES {
        let running = crew(work, ", timeout: 2s").start();
        let pid = running.pid_from("pid");
        let ended = running.wait();
        assert!(ended.took < Duration::from_millis(3500), "{stage}: {:?}", ended.took);
        assert!(!is_alive(pid) && !ended.path().join("started").exists(), "{stage}");
        check_report(&ended.report(124), stage, at, "timed_out");
    }
}

#[test]
fn a_failure_stops_every_stage() {
    for (stage, work, at) in STAGES {
        // `busy` is needed by `done`, so another agent has to fail.
        let failing =
            r#"shell: 'until [ -e "$DIR/pid" ]; do sleep 0.01; done; exit 1', env: [DIR]"#;
        let running = {
            let crew = crew(work, "");
            let path = crew.path("agents.yaml");
            let yaml = std::fs::read_to_string(&path).unwrap() + &format!("  bad: {{{failing}}}\n");
            std::fs::write(path, yaml).unwrap();
            crew.start()
        };
        let pid = running.pid_from("pid");
        let ended = running.wait();
        assert!(!is_alive(pid) && !ended.path().join("started").exists(), "{stage}");
        let report = ended.report(1);
        check_report(&report, stage, at, "cancelled");
        assert_eq!(
            report["agents"]["busy"]["reason"],
            json!({"kind": "agent_failed", "agent": "bad"})
        );
    }
}
