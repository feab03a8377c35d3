//! Containment: what tools inherit, and which processes crew stops. `crew selftest` shows that no
//! process escapes.

use std::time::Duration;

use crate::support::crew::{Crew, is_alive};
use crate::support::mock_model::ModelServer;
use crate::support::script::{delayed, text};
use indoc::{formatdoc, indoc};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

const MOCK: &str = "providers:\n  mock: {api: openai, base_url: 'URL'}\n";

/// One agent that calls this shell tool once.
fn one_tool(shell: &str) -> String {
    formatdoc! {"
        limits: {{grace: 300ms}}
        tools:
          t:
            description: x
            env: [DIR]
            shell: |
              {}
        agents:
          a: {{model: offline, tools: [t]}}
    ", shell.replace('\n', "\n      ")}
}

fn output_of(report: &Value) -> &str {
    report["agents"]["a"]["tool_calls"][0]["output"].as_str().unwrap()
}

#[test]
fn crew_raises_its_file_limit_and_tools_get_the_original_one() {
    let server = ModelServer::always(delayed(Duration::from_secs(2), text("done")));
    let agents: String =
        (0..150).map(|n| format!("  b{n}: {{model: mock/m, retries: 0}}\n")).collect();
    let yaml =
        MOCK.replace("URL", &server.base_url()) + &one_tool("ulimit -Sn; ulimit -Hn") + &agents;
    let ended = Crew::new(&yaml).through("ulimit -Sn 100 && ulimit -Hn 4000").run();
    assert_eq!(output_of(&ended.report(0)), "100\n4000\n");
    assert!(server.state().peak_calls > 100, "{}", server.state().peak_calls);
}

#[test]
fn a_lack_of_descriptors_fails_single_tool_calls() {
    let agents: String =
        (0..60).map(|n| format!("  b{n}: {{model: offline, tools: [t]}}\n")).collect();
    let yaml = one_tool("sleep 0.5; echo done") + &agents;
    let ended = Crew::new(&yaml).through("ulimit -n 50").run();
    let report = ended.report(0);
    let calls = report["agents"].as_object().unwrap().values().map(|a| &a["tool_calls"][0]);
    let (done, failed): (Vec<_>, Vec<_>) = calls.partition(|call| call["status"] == "succeeded");
    assert_eq!(done.len() + failed.len(), 61);
    assert!(!done.is_empty() && !failed.is_empty(), "{} did not fail", done.len());
    for call in failed {
        let output = call["output"].as_str().unwrap();
        assert!(output.contains("cannot start") && output.contains("open files"), "{output}");
    }
}

#[test]
fn inherited_descriptors_and_children_stay_with_crew() {
    let look = "[ -e /dev/fd/9 ] && echo 'fd 9'; kill -0 $(cat \"$DIR/pid\") && echo alive\ntrue";
    let preparation = "{ sleep 1000 >/dev/null 2>&1 & echo $! >\"$DIR/pid\"; exec 9</dev/null; }";
    let running = Crew::new(one_tool(look)).through(preparation).start();
    let other = running.pid_from("pid");
    let report = running.wait().report(0);
    assert_eq!(output_of(&report), "alive\n");
    assert_eq!(report["cleanup"]["processes_killed"], 0);
    // A child of the shell that became crew.
    assert!(is_alive(other));
    kill(other, Signal::SIGKILL).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn inherited_children_survive_a_cleanup_without_the_guardian() {
    let tool = "echo $PPID >\"$DIR/reaper\"; trap '' TERM; while :; do sleep 1000; done";
    let preparation = "{ sleep 1000 >/dev/null 2>&1 & echo $! >\"$DIR/pid\"; }";
    let running = Crew::new(one_tool(tool)).through(preparation).start();
    let (other, reaper) = (running.pid_from("pid"), running.pid_from("reaper"));
    // Stopped first, so that neither acts on the other's death and crew has to clean up.
    let guardian = parent_of(reaper);
    for process in [guardian, reaper] {
        kill(process, Signal::SIGSTOP).unwrap();
    }
    for process in [guardian, reaper] {
        kill(process, Signal::SIGKILL).unwrap();
    }
    let report = running.wait().report(0);
    assert_eq!(report["cleanup"]["guardian_lost"], true);
    assert_eq!(report["cleanup"]["survivors"], json!([]));
    assert_eq!(report["agents"]["a"]["tool_calls"][0]["status"], "failed");
    assert!(is_alive(other));
    kill(other, Signal::SIGKILL).unwrap();
}

#[cfg(target_os = "linux")]
fn parent_of(pid: Pid) -> Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    Pid::from_raw(line.trim().parse().unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_tool_that_stops_its_reaper_is_killed() {
    let tool =
        "trap '' TERM\necho $$ >\"$DIR/pid\"\nkill -STOP $PPID\nwhile :; do sleep 1000; done";
    let running = Crew::new(one_tool(tool)).start();
    let tool = running.pid_from("pid");
    running.signal(Signal::SIGINT);
    let report = running.wait().json();
    assert_eq!(report["agents"]["a"]["tool_calls"][0]["status"], "cancelled");
    assert_eq!(report["cleanup"]["survivors"], json!([]));
    assert!(!is_alive(tool));
}

#[test]
fn leaked_processes_of_many_calls_are_killed() {
    let agents: String =
        (0..200).map(|n| format!("  b{n}: {{model: offline, tools: [t]}}\n")).collect();
    let yaml = one_tool("(sleep 1000 >/dev/null 2>&1 &)\necho done") + &agents;
    let ended = Crew::new(&yaml).args(&["--max-parallel", "8"]).run();
    let report = ended.report(0);
    let calls = report["agents"].as_object().unwrap().values().map(|a| &a["tool_calls"][0]);
    assert!(calls.clone().all(|call| call["leaked"] == true && call["output"] == "done\n"));
    let cleanup = &report["cleanup"];
    let gone = cleanup["processes_stopped"].as_u64().unwrap()
        + cleanup["processes_killed"].as_u64().unwrap();
    assert_eq!(gone, 201, "{cleanup:#}");
}

#[test]
#[cfg(target_os = "linux")]
fn no_tool_starts_after_the_stop() {
    let running = Crew::new(indoc! {r#"
        tools:
          first:
            description: x
            env: [DIR]
            shell: |
              echo $PPID >"$DIR/reaper"
              until [ -e "$DIR/go" ]; do sleep 0.01; done
          second: {description: x, env: [DIR], shell: 'touch "$DIR/started"'}
        agents:
          a: {model: offline, tools: [first]}
          b: {model: offline, tools: [second], needs: [a]}
    "#})
    .start();
    let guardian = parent_of(running.pid_from("reaper"));
    kill(guardian, Signal::SIGSTOP).unwrap();
    std::fs::write(running.path("go"), "").unwrap();
    running.wait_for_stderr("b: running second");
    running.signal(Signal::SIGINT);
    running.wait_for_stderr("stopping");
    kill(guardian, Signal::SIGCONT).unwrap();
    let ended = running.wait();
    assert_eq!(ended.json()["agents"]["b"]["tool_calls"][0]["status"], "cancelled");
    assert!(!ended.path().join("started").exists());
}

#[test]
fn unusual_inherited_state_is_tolerated() {
    let leave = "(sleep 1000 >/dev/null 2>&1 &)\necho done";
    for preparation in ["trap '' CHLD", "exec <&- 2>&-", "exec 3</dev/null 4<&3 9<&3"] {
        let report = Crew::new(one_tool(leave)).through(preparation).run().report(0);
        assert_eq!(output_of(&report), "done\n", "{preparation}");
        assert_eq!(report["agents"]["a"]["tool_calls"][0]["leaked"], true, "{preparation}");
        assert_eq!(report["cleanup"]["survivors"], json!([]), "{preparation}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_tool_cannot_read_crews_environment() {
    // `$PPID` is the reaper; its parent is the guardian, whose parent is crew.
    let parent = |of: &str| format!("$(grep PPid /proc/{of}/status | cut -f2)");
    let crew = parent(&parent("$PPID"));
    let yaml = one_tool(&format!("tr '\\0' '\\n' </proc/{crew}/environ; id -u"));
    let report = Crew::new(&yaml).env("MY_API_KEY", "key-of-crew").run().report(0);
    let output = output_of(&report);
    // Root can read everything.
    assert!(output.ends_with("\n0\n") || !output.contains("key-of-crew"), "{output}");
}
