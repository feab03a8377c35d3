//! `crew selftest`: everything it tries holds, and it leaves nothing behind itself.
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::crew::wait_for;
use tempfile::TempDir;

/// One at a time: what each measures is time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The self-test with a folder of its own for what it writes. Its processes name that folder.
fn selftest(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crew"));
    command
        .arg("selftest")
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Processes whose command line names the folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-o", "args="]).output().unwrap();
    let all = String::from_utf8(output.stdout).unwrap();
    let folder = folder.to_str().unwrap();
    all.lines().filter(|line| line.contains(folder)).map(str::to_owned).collect()
}

#[track_caller]
fn assert_nothing_left(folder: &TempDir) {
    assert_eq!(processes_of(folder.path()), [""; 0]);
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(files.is_empty(), "{files:?}");
}

#[test]
fn everything_holds_in_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let output = selftest(folder.path(), &[]).output().unwrap();
    let took = started.elapsed();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "passed");
    assert_eq!(report["left"], Value::Array(vec![]));
    let cases = report["cases"].as_array().unwrap();
    assert!(cases.len() >= 20, "{}", cases.len());
    for case in cases {
        let is_skipped = case["status"] == "skipped";
        assert!(case["status"] == "held" || is_skipped && !cfg!(target_os = "linux"), "{case:#}");
        assert!(is_skipped || case["stop_ms"].is_u64(), "{case:#}");
        assert!(case["limit_ms"].is_u64() && case["promise"].is_string(), "{case:#}");
        assert_eq!(case["left"], Value::Array(vec![]), "{case:#}");
    }
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_nothing_left(&folder);
}

#[test]
fn some_cases_are_told_as_a_table() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let output = selftest(folder.path(), &["deaf", "sleeper", "-o", "text"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].trim_start().starts_with("case "), "{text}");
    // In the order of the table, whatever the order on the command line.
    assert!(lines[1].starts_with("✓ Ctrl-C: a sleeping tool "), "{text}");
    assert!(lines[2].starts_with("✓ Ctrl-C: a tool that ignores signals "), "{text}");
    assert!(lines[1..=2].iter().all(|line| line.ends_with("   800ms          0")), "{text}");
    assert!(lines.last().unwrap().starts_with("crew selftest: 2 of 2 cases passed, in "), "{text}");
    assert_nothing_left(&folder);
}

#[test]
fn an_unknown_case_is_a_fault_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let output = selftest(folder.path(), &["nonsense"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(report["errors"][0]["message"], "there is no case \"nonsense\"");
}

/// Starts it and waits until tools of several cases are there.
fn under_way(folder: &TempDir) -> Child {
    // As a shell does it: what the self-test starts must not be in the foreground with it.
    let running = selftest(folder.path(), &[]).process_group(0).spawn().unwrap();
    let are_there = || {
        let processes = processes_of(folder.path());
        let animals = processes.iter().filter(|line| line.contains(" --fixture ")).count();
        (animals >= 3).then_some(())
    };
    wait_for("tools of the self-test", are_there);
    running
}

#[test]
fn ctrl_c_ends_the_self_test_and_all_it_has_started() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut running = under_way(&folder);
    kill(Pid::from_raw(running.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let status = wait_for("its end", || running.try_wait().unwrap());
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32));
    assert_nothing_left(&folder);
}

#[test]
fn when_it_is_killed_its_keepers_clean_up() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut running = under_way(&folder);
    running.kill().unwrap();
    running.wait().unwrap();
    // A keeper that was just being started has its folder still to make, and to remove.
    wait_for("everything to be gone", || {
        let is_empty = std::fs::read_dir(folder.path()).unwrap().next().is_none();
        (is_empty && processes_of(folder.path()).is_empty()).then_some(())
    });
}
