//! The exit of MCP servers: crew leaves none of their processes, even if they resist.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::crew::{Crew, is_alive, wait_for};
use crate::support::mcp_server::{self, server, yaml};
use indoc::formatdoc;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

/// One agent that calls each of these tools once.
fn crew(role: &str, more: &str, tools: &str) -> Crew {
    let servers = yaml(role, more);
    Crew::new(formatdoc! {"
        limits: {{grace: 300ms}}
        {servers}agents:
          a: {{model: offline, tools: [{tools}]}}
    "})
}

/// The processes that have written their pids into a file.
fn pids(folder: &Path, file: &str) -> Vec<Pid> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(|line| Pid::from_raw(line.parse().unwrap())).collect()
}

#[track_caller]
fn assert_gone(folder: &Path, files: &[&str]) {
    for file in files {
        for pid in pids(folder, file) {
            assert!(!is_alive(pid), "{file}: {pid}");
        }
    }
}

#[test]
fn a_server_and_its_children_end_with_the_run() {
    let ended = crew("", "", "fx.grandchild").run();
    let report = ended.report(0);
    assert_gone(ended.path(), &["starts", "grandchild"]);
    let cleanup = &report["cleanup"];
    assert_eq!(cleanup["survivors"], json!([]));
    assert!(cleanup["processes_killed"].as_u64().unwrap() >= 1, "{cleanup:#}");
}

#[test]
fn a_server_that_ignores_end_of_input_and_sigterm_is_killed() {
    let ended = crew("stubborn", "", "fx.echo").run();
    let report = ended.report(0);
    assert_gone(ended.path(), &["starts"]);
    assert_eq!(report["cleanup"]["processes_killed"], 1, "{:#}", report["cleanup"]);
    assert!(report["cleanup"]["duration_ms"].as_u64().unwrap() < 1500, "{:#}", report["cleanup"]);
}

#[test]
fn ctrl_c_notifies_the_server_and_leaves_no_process() {
    let direct = server("fx", "stubborn", "");
    let program = std::env::current_exe().unwrap();
    let script = format!(
        "exec 3<&0; echo $$ >>\"$DIR/launcher\"; \
         {:?} --exact support::mcp_server::serve --nocapture <&3 & wait",
        program.to_str().unwrap()
    );
    // Like npx: the server is a child of the program in the file.
    let launched = direct
        .replace(&format!("command: {:?}", program.to_str().unwrap()), "command: sh")
        .replace(mcp_server::ARGS, &json!(["-c", script]).to_string());
    for servers in [direct, launched] {
        let running = Crew::new(formatdoc! {"
            limits: {{grace: 700ms}}
            mcp_servers:
            {servers}agents:
              a: {{model: offline, tools: [fx.never]}}
        "})
        .start();
        running.wait_for_file("calls");
        running.signal(Signal::SIGINT);
        let asked = Instant::now();
        let ended = running.wait();
        assert!(asked.elapsed() < Duration::from_millis(2000), "{:?}", asked.elapsed());
        assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
        let report = ended.json();
        let call = &report["agents"]["a"]["tool_calls"][0];
        assert_eq!(
            (&call["status"], &call["stopped_by"]),
            (&json!("cancelled"), &json!("interrupted"))
        );
        assert_gone(ended.path(), &["starts"]);
        if ended.path().join("launcher").exists() {
            assert_gone(ended.path(), &["launcher"]);
        }
        let killed = report["cleanup"]["processes_killed"].as_u64().unwrap();
        assert!(killed >= 1, "{:#}", report["cleanup"]);
        let cancelled = std::fs::read_to_string(ended.path().join("cancelled")).unwrap();
        assert!(cancelled.contains("requestId"), "{cancelled}");
    }
}

#[test]
fn ctrl_c_during_startup_leaves_no_process() {
    let running = crew("mute stubborn", "", "fx").start();
    running.wait_for_file("starts");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.json()["agents"]["a"]["status"], "cancelled");
    assert_gone(ended.path(), &["starts"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_server_ends_when_crew_is_killed() {
    let running = crew("stubborn", "", "fx.never").start();
    running.wait_for_file("calls");
    let servers = pids(&running.path(""), "starts");
    running.signal(Signal::SIGKILL);
    wait_for("the server to go", || (!is_alive(servers[0])).then_some(()));
    // Reaps crew and removes its folder.
    running.wait();
}

#[test]
fn the_servers_of_an_agent_start_concurrently() {
    let more = "    start_timeout: 600ms\n";
    let servers: String = (0..4).map(|n| server(&format!("s{n}"), "mute", more)).collect();
    let ended = Crew::new(formatdoc! {"
        mcp_servers:
        {servers}agents:
          a: {{model: offline, tools: [s0, s1, s2, s3]}}
    "})
    .run();
    let report = ended.report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
    assert!(message.contains("MCP server s0") && message.contains("MCP server s3"), "{message}");
    assert!(report["agents"]["a"]["duration_ms"].as_u64().unwrap() < 2000, "{report:#}");
}

#[test]
fn check_with_tools_leaves_no_process() {
    for (role, more, code) in [
        ("stubborn", "", 0),
        ("mute stubborn", "    start_timeout: 300ms\n", 1),
        ("refuses", "", 1),
    ] {
        let servers = yaml(role, more);
        let ended = Crew::check(formatdoc! {"
            limits: {{grace: 300ms}}
            {servers}agents:
              a: {{model: offline}}
        "})
        .args(&["--tools"])
        .run_as_is();
        assert_eq!(ended.status.code(), Some(code), "{}{}", ended.stdout, ended.stderr);
        assert_gone(ended.path(), &["starts"]);
    }
    let servers = yaml("mute stubborn", "");
    let yaml = formatdoc! {"
        limits: {{grace: 300ms}}
        {servers}agents:
          a: {{model: offline}}
    "};
    let running = Crew::check(&yaml).args(&["--tools"]).start_as_is();
    running.wait_for_file("starts");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32));
    assert_gone(ended.path(), &["starts"]);
}

#[test]
fn a_flooding_server_does_not_delay_the_exit() {
    let running = crew("", "    timeout: 60s\n", "fx.huge, fx.nag, fx.flood").args(&["-t", "2s"]);
    let ended = running.run();
    assert!(ended.took < Duration::from_secs(6), "{:?}", ended.took);
    let report: Value = ended.json();
    assert_eq!(report["cleanup"]["survivors"], json!([]));
    assert_gone(ended.path(), &["starts"]);
}
