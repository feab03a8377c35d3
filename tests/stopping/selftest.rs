//! `crew selftest`: all its cases hold, and it leaves no process and no file.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::support::crew::{Crew, Running, wait_for};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, setpgid};
use serde_json::Value;
use tempfile::TempDir;

/// Runs one self-test at a time, since each measures times.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The self-test with its own temporary folder, which its processes have on their command lines.
fn selftest(folder: &TempDir, args: &[&str]) -> Crew {
    let path = folder.path();
    Crew::at(path).args(&["selftest"]).args(args).env("TMPDIR", path.to_str().unwrap())
}

/// The processes with the folder on their command lines.
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
fn all_cases_hold_in_time() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let ended = selftest(&folder, &[]).run_as_is();
    let report = ended.json();
    assert_eq!(ended.status.code(), Some(0), "{report:#}");
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "passed");
    assert_eq!(report["left"], Value::Array(vec![]));
    let cases = report["cases"].as_array().unwrap();
    for about in ["step-", "instance-", "check-", "flow-", "batch-"] {
        let names = cases.iter().filter_map(|case| case["name"].as_str());
        assert!(names.filter(|name| name.starts_with(about)).count() >= 1, "{about}");
    }
    assert!(cases.len() >= 50, "{}", cases.len());
    for case in cases {
        let is_skipped = case["status"] == "skipped";
        assert!(case["status"] == "held" || is_skipped && !cfg!(target_os = "linux"), "{case:#}");
        assert!(is_skipped || case["stop_ms"].is_u64(), "{case:#}");
        assert!(case["limit_ms"].is_u64() && case["promise"].is_string(), "{case:#}");
        assert_eq!(case["left"], Value::Array(vec![]), "{case:#}");
    }
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
    assert_nothing_left(&folder);
}

#[test]
fn selected_cases_are_printed_as_a_table() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let ended = selftest(&folder, &["deaf", "sleeper", "-o", "text"]).run_as_is();
    let text = ended.stdout;
    assert_eq!(ended.status.code(), Some(0), "{text}");
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].trim_start().starts_with("case "), "{text}");
    // In the order of the table, not in that of the command line.
    assert!(lines[1].starts_with("✓ Ctrl-C: a sleeping tool "), "{text}");
    assert!(lines[2].starts_with("✓ Ctrl-C: a tool that ignores signals "), "{text}");
    assert!(lines[1..=2].iter().all(|line| line.ends_with("   800ms          0")), "{text}");
    assert!(lines.last().unwrap().starts_with("crew selftest: 2 of 2 cases passed, in "), "{text}");
    assert_nothing_left(&folder);
}

#[test]
fn an_unknown_case_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let ended = selftest(&folder, &["nonsense"]).run_as_is();
    let report = ended.json();
    assert_eq!(ended.status.code(), Some(2));
    assert_eq!(report["errors"][0]["message"], "there is no case \"nonsense\"");
}

/// Starts the self-test and waits until tools of several cases run.
fn started(folder: &TempDir) -> Running {
    // As a shell does it: child processes of the self-test must not share its process group.
    let own_group = || Ok(setpgid(Pid::from_raw(0), Pid::from_raw(0))?);
    let running = selftest(folder, &[]).prepare(own_group).start_as_is();
    let are_there = || {
        let processes = processes_of(folder.path());
        let tools = processes.iter().filter(|line| line.contains(" --fixture ")).count();
        (tools >= 3).then_some(())
    };
    wait_for("tools of the self-test", are_there);
    running
}

#[test]
fn ctrl_c_stops_the_self_test_and_its_processes() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let running = started(&folder);
    running.signal(Signal::SIGINT);
    assert_eq!(running.wait().status.signal(), Some(Signal::SIGINT as i32));
    assert_nothing_left(&folder);
}

#[test]
fn supervisors_clean_up_after_a_killed_self_test() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let running = started(&folder);
    running.signal(Signal::SIGKILL);
    running.wait();
    // A supervisor that has just started still has to create its folder, and to remove it.
    wait_for("everything to be gone", || {
        let is_empty = std::fs::read_dir(folder.path()).unwrap().next().is_none();
        (is_empty && processes_of(folder.path()).is_empty()).then_some(())
    });
}
