//! The history of runs: what `crew run` keeps, and what `crew runs` shows.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::crew::{Crew, Ended};

const YAML: &str = "name: nightly\nagents: {a: {command: [printf, fine]}}\n";

fn folder() -> TempDir {
    crate::support::crew::folder(YAML)
}

fn crew(folder: &TempDir, args: &[&str]) -> Crew {
    Crew::at(folder.path()).args(args)
}

fn run(folder: &TempDir) -> Value {
    crew(folder, &["run", "-o", "json"]).run_as_is().report(0)
}

fn runs(folder: &TempDir) -> Vec<Value> {
    let list = crew(folder, &["runs", "-o", "json"]).run_as_is().json();
    list["runs"].as_array().unwrap().clone()
}

/// The folder of the history below the home of these tests.
fn place(folder: &TempDir) -> PathBuf {
    folder.path().join(".local/state/crew/runs")
}

#[test]
fn runs_are_listed_and_shown() {
    let folder = folder();
    let reports = [run(&folder), run(&folder)];
    let listed = runs(&folder);
    assert_eq!(listed.len(), 2);
    for (run, report) in listed.iter().zip(reports.iter().rev()) {
        for field in ["run_id", "crew", "status", "exit_code", "started_at", "usage"] {
            assert_eq!(run[field], report[field]);
        }
        let id = report["run_id"].as_str().unwrap();
        let shown = crew(&folder, &["runs", "show", id]).run_as_is();
        assert_eq!(&shown.json(), report);
        let file = fs::read_to_string(run["file"].as_str().unwrap()).unwrap();
        assert_eq!(file, shown.stdout);
    }
    let last = crew(&folder, &["runs", "show"]).run_as_is();
    assert_eq!(last.json(), reports[1]);
    let first = reports[0]["run_id"].as_str().unwrap();
    let beginning = first
        .char_indices()
        .map(|(at, _)| &first[..at])
        .find(|beginning| !reports[1]["run_id"].as_str().unwrap().starts_with(beginning));
    let shown = crew(&folder, &["runs", "show", beginning.unwrap_or(first)]).run_as_is();
    assert_eq!(shown.json(), reports[0]);
    let text = crew(&folder, &["runs", "show", "last", "-o", "text"]).run_as_is();
    assert!(text.stdout.contains("fine"), "{}", text.stdout);
    let table = crew(&folder, &["runs"]).run_as_is();
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", table.stdout);
    assert!(lines[2].starts_with(first) && lines[2].contains("nightly"), "{}", table.stdout);
    for (id, message) in [("0", "2 runs begin with \"0\""), ("x", "there is no run \"x\"")] {
        let ended = crew(&folder, &["runs", "show", id]).run_as_is();
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
    }
}

#[test]
fn an_id_is_enough_where_a_report_is_read() {
    let folder = folder();
    let report = run(&folder);
    let id = report["run_id"].as_str().unwrap();
    for id in [id, "last"] {
        let shown = crew(&folder, &["report", id, "--as", "json"]).run_as_is();
        assert_eq!(shown.json(), report, "{}", shown.stderr);
        let rendered = crew(&folder, &["render", "--from", id, "-o", "json"]).run_as_is();
        assert_eq!(rendered.status.code(), Some(0), "{}", rendered.stderr);
    }
    // A file of that name wins, and a path is never an id.
    fs::write(folder.path().join("last"), "no report").unwrap();
    for (report, message) in [
        ("last", "last is not a report of crew"),
        ("no/last", "cannot read no/last"),
        ("no.json", "cannot read no.json"),
        ("never", "there is no run \"never\""),
    ] {
        let ended = crew(&folder, &["report", report, "--as", "json"]).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{report}");
        assert!(ended.stderr.contains(message), "{report}: {}", ended.stderr);
    }
}

#[test]
fn the_last_fifty_reports_are_kept_for_this_user_only() {
    let folder = folder();
    let report = run(&folder).to_string();
    for number in 0..60 {
        fs::write(place(&folder).join(format!("00{number:02}.json")), &report).unwrap();
    }
    let newest = run(&folder);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(place(&folder)), 0o700);
    assert_eq!(fs::read_dir(place(&folder)).unwrap().count(), 50);
    let file = place(&folder).join(format!("{}.json", newest["run_id"].as_str().unwrap()));
    assert_eq!(mode(file), 0o600);
    assert!(!place(&folder).join("0011.json").exists());
    assert!(place(&folder).join("0059.json").exists());
}

#[test]
fn a_run_without_a_history_is_a_run() {
    let succeeded = |ended: Ended| {
        ended.report(0);
        ended.stderr
    };
    let folder = folder();
    let run = |options: &[&str]| crew(&folder, &["run", "-o", "json"]).args(options);
    succeeded(run(&["--no-history"]).run_as_is());
    assert!(runs(&folder).is_empty() && !folder.path().join(".local").exists());
    // Without a home.
    let stderr = succeeded(run(&[]).env("HOME", "").run_as_is());
    assert!(!stderr.contains("note:"), "{stderr}");
    let stderr = succeeded(run(&[]).env("XDG_STATE_HOME", "/dev/null").run_as_is());
    assert!(stderr.contains("note: the report is not in the history"), "{stderr}");
    assert_eq!(succeeded(run(&["-q"]).env("XDG_STATE_HOME", "/dev/null").run_as_is()), "");
    let state = folder.path().join("state");
    succeeded(run(&[]).env("XDG_STATE_HOME", state.to_str().unwrap()).run_as_is());
    assert_eq!(fs::read_dir(state.join("crew/runs")).unwrap().count(), 1);
    // Nothing ran.
    let invalid = run(&["-a", "nobody"]).run_as_is();
    assert_eq!(invalid.status.code(), Some(2));
    assert!(runs(&folder).is_empty());
}
