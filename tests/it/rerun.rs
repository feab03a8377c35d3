//! `crew rerun`: what an earlier run has finished is not paid for again.

use std::fs;

use indoc::{formatdoc, indoc};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::reports::cases;
use crate::support::crew::{Crew, Ended, folder};

/// Each step writes its name to the file `ran`; `net` fails until the file `fixed` exists.
const YAML: &str = indoc! {"
    vars: {service: ssh}
    agents:
      disk: {shell: 'echo disk >> ran; echo 90%'}
      net:
        shell: 'echo net >> ran; test -e fixed && echo up'
      summary:
        needs: [disk, net]
        shell: 'echo summary >> ran; echo \"$of: $text\"'
        env: {of: '{{ vars.service }}', text: '{{ agents.disk.output }}, {{ input }}'}
"};

const INSTANCES: &str = indoc! {"
    agents:
      check:
        for_each: [a, b, c]
        on_failure: continue
        shell: 'echo \"check $item\" >> ran; test $item != b || test -e fixed && echo \"$item is well\"'
        env: {item: '{{ item }}'}
      summary:
        needs: [check]
        shell: 'echo summary >> ran; echo \"$all\"'
        env: {all: '{{ agents.check.output }}'}
"};

fn crew(folder: &TempDir, args: &[&str]) -> Ended {
    Crew::at(folder.path()).args(args).run_as_is()
}

/// Runs the crew, and forgets what ran.
fn first(folder: &TempDir, args: &[&str], code: i32) -> Value {
    let run = ["run", "-k", "-i", "go", "-o", "json", "--output-file", "first.json"];
    let ended = crew(folder, &[&run, args].concat());
    assert_eq!(ended.status.code(), Some(code), "{}", ended.stderr);
    fs::remove_file(folder.path().join("ran")).unwrap();
    serde_json::from_str(&fs::read_to_string(folder.path().join("first.json")).unwrap()).unwrap()
}

fn rerun(folder: &TempDir, args: &[&str]) -> Ended {
    let args = [&["rerun", "first.json", "-k", "-o", "json"], args].concat();
    Crew::at(folder.path()).args(&args).run_as_is()
}

/// What ran since it was asked last.
fn ran(folder: &TempDir) -> Vec<String> {
    let file = folder.path().join("ran");
    let text = fs::read_to_string(&file).unwrap_or_default();
    let _ = fs::remove_file(file);
    let mut ran: Vec<String> = text.lines().map(str::to_owned).collect();
    ran.sort();
    ran
}

fn fix(folder: &TempDir) {
    fs::write(folder.path().join("fixed"), "").unwrap();
}

#[test]
fn what_failed_runs_again_with_what_needs_it() {
    let folder = folder(YAML);
    let earlier = first(&folder, &["--var", "service=dns"], 1);
    fix(&folder);
    let ended = rerun(&folder, &[]);
    let report = ended.report(0);
    assert_eq!(ran(&folder), ["net", "summary"]);
    assert_eq!(report["rerun_of"], earlier["run_id"]);
    assert_eq!(report["status"], "succeeded");
    let agents = &report["agents"];
    assert_eq!(agents["disk"]["reused"], true);
    assert_eq!(agents["disk"]["output"], earlier["agents"]["disk"]["output"]);
    assert_eq!(agents["net"]["reused"], Value::Null);
    assert_eq!(agents["summary"]["output"], "dns: 90%\n, go\n");
    for said in [
        "note: runs again: net (failed), summary (needs net)",
        "disk: succeeded in an earlier run",
        ", 1 in an earlier run",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

#[test]
fn a_finished_run_is_reported_unchanged() {
    let folder = folder(YAML);
    fix(&folder);
    let earlier = first(&folder, &[], 0);
    let ended = rerun(&folder, &[]);
    assert_eq!(ended.report(0), earlier);
    assert!(ran(&folder).is_empty());
    assert!(ended.stderr.contains("note: nothing to run again"), "{}", ended.stderr);
}

#[test]
fn what_has_changed_runs_again_and_is_named() {
    let folder = folder(YAML);
    fix(&folder);
    first(&folder, &[], 0);
    let changed = YAML.replace("echo up", "echo fine").replace("vars:", "# a comment\nvars:");
    fs::write(folder.path().join("agents.yaml"), changed).unwrap();
    let ended = rerun(&folder, &[]);
    assert_eq!(ended.report(0)["agents"]["net"]["output"], "fine\n");
    assert_eq!(ran(&folder), ["net", "summary"]);
    let note = "runs again: net (changed: step of net), summary (needs net)";
    assert!(ended.stderr.contains(note), "{}", ended.stderr);

    let ended = rerun(&folder, &["--var", "service=dns"]);
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(ran(&folder), ["disk", "net", "summary"]);
    assert!(ended.stderr.contains("disk (changed: variable service)"), "{}", ended.stderr);
}

#[test]
fn only_the_instances_that_failed_run_again() {
    let folder = folder(INSTANCES);
    first(&folder, &[], 1);
    fix(&folder);
    let report = rerun(&folder, &[]).report(0);
    assert_eq!(ran(&folder), ["check b", "summary"]);
    let items = report["agents"]["check"]["items"].as_array().unwrap();
    let reused: Vec<&Value> = items.iter().map(|item| &item["reused"]).collect();
    assert_eq!(reused, [&Value::Bool(true), &Value::Null, &Value::Bool(true)]);
    let summary = report["agents"]["summary"]["output"].as_str().unwrap();
    for well in ["a is well", "b is well", "c is well"] {
        assert!(summary.contains(well), "{summary}");
    }
}

#[test]
fn selected_agents_run_again_with_what_they_lack() {
    let folder = folder(YAML);
    first(&folder, &[], 1);
    // `net` has failed, but nothing selected needs it.
    let report = rerun(&folder, &["-a", "disk"]).report(1);
    assert_eq!(ran(&folder), ["disk"]);
    assert_eq!(report["agents"]["net"]["status"], "failed");
    assert_eq!(report["agents"]["net"]["reused"], true);
    fix(&folder);
    assert_eq!(rerun(&folder, &["-a", "summary"]).report(0)["status"], "succeeded");
    assert_eq!(ran(&folder), ["net", "summary"]);
}

#[test]
fn a_rerun_can_be_run_again() {
    let folder = folder(YAML);
    first(&folder, &[], 1);
    let report = rerun(&folder, &["--output-file", "second.json"]);
    assert_eq!(report.status.code(), Some(1));
    assert_eq!(ran(&folder), ["net"]);
    let second = ["rerun", "second.json", "-o", "json"];
    let third = ["--output-file", "third.json", "--report", "junit=third.xml"];
    assert_eq!(crew(&folder, &[&second[..], &third[..]].concat()).status.code(), Some(1));
    assert_eq!(ran(&folder), ["net"]);
    let names: Vec<String> =
        cases(&folder.path().join("third.xml")).into_iter().map(|[name, ..]| name).collect();
    assert_eq!(names, ["disk", "net", "summary"]);
    fix(&folder);
    let report = crew(&folder, &["rerun", "third.json", "-o", "json"]).report(0);
    assert_eq!(ran(&folder), ["net", "summary"]);
    assert_eq!(report["agents"]["disk"]["reused"], true);
}

/// Edits the first report.
fn edit(folder: &TempDir, change: impl FnOnce(&mut Value)) {
    let file = folder.path().join("first.json");
    let mut report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    change(&mut report);
    fs::write(file, report.to_string()).unwrap();
}

#[test]
fn an_instance_that_was_edited_to_failed_runs_again() {
    let folder = folder(INSTANCES);
    fix(&folder);
    first(&folder, &[], 0);
    edit(&folder, |report| report["agents"]["check"]["items"][1]["status"] = "failed".into());
    let ended = rerun(&folder, &[]);
    let report = ended.report(0);
    assert_eq!(ran(&folder), ["check b", "summary"]);
    assert_eq!(report["agents"]["check"]["items"][0]["reused"], true);
    let said = "runs again: check (failed), summary (needs check)";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn the_end_of_a_run_is_decided_anew_where_the_earlier_one_does_not_stand() {
    let yaml = |limit: u8| {
        formatdoc! {"
            fail_if: agents.count.data > {limit}
            agents:
              count: {{shell: 'echo count >> ran; echo 3', parse: json}}
        "}
    };
    let folder = folder(yaml(2));
    let earlier = first(&folder, &[], 4);
    // The gate decides, also if nothing runs.
    assert_eq!(rerun(&folder, &[]).report(4), earlier);
    // A run that was stopped after its last agent had ended has not come to its gate.
    edit(&folder, |report| {
        report["reason"] = json!({"kind": "interrupted"});
        (report["status"], report["exit_code"]) = ("cancelled".into(), 130.into());
        report["fail_if"]["holds"] = Value::Null;
    });
    assert_eq!(rerun(&folder, &[]).report(4)["fail_if"]["holds"], true);
    // Another gate.
    fs::write(folder.path().join("agents.yaml"), yaml(3)).unwrap();
    let ended = rerun(&folder, &[]);
    let report = ended.report(0);
    assert_eq!((&report["status"], &report["rerun_of"]), (&json!("succeeded"), &earlier["run_id"]));
    assert!(ended.stderr.contains("no agent runs again; how the run ends"), "{}", ended.stderr);
    // A process that survived the earlier run.
    fs::write(folder.path().join("first.json"), report.to_string()).unwrap();
    edit(&folder, |report| {
        report["cleanup"]["survivors"] = json!([{"pid": 1, "command": "x"}]);
        report["exit_code"] = 3.into();
    });
    assert_eq!(rerun(&folder, &[]).report(0)["cleanup"]["survivors"], json!([]));
    assert!(ran(&folder).is_empty());
}

#[test]
fn agents_that_the_crew_has_no_more_hold_up_no_rerun() {
    let folder = folder(YAML);
    first(&folder, &["-a", "disk,net"], 1);
    let renamed = YAML.replace("  net:", "  network:").replace("net]", "network]");
    fs::write(folder.path().join("agents.yaml"), renamed).unwrap();
    let ended = rerun(&folder, &[]);
    let report = ended.report(0);
    assert_eq!(report["agents"].as_object().unwrap().keys().collect::<Vec<_>>(), ["disk"]);
    assert!(ended.stderr.contains("the crew has no agent net any more"), "{}", ended.stderr);
    let without = YAML.replace("  disk:", "  d:").replace("  net:", "  n:");
    let without = without.replace("[disk, net]", "[d, n]").replace("agents.disk", "agents.d");
    fs::write(folder.path().join("agents.yaml"), without).unwrap();
    let ended = rerun(&folder, &[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("there is no agent \"disk\""), "{}", ended.stderr);
    fs::remove_file(folder.path().join("agents.yaml")).unwrap();
    let ended = rerun(&folder, &[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("does not exist any more"), "{}", ended.stderr);
    assert!(ended.stderr.contains("name the file with -c"), "{}", ended.stderr);
}

#[test]
fn a_rerun_has_the_whole_budget() {
    let folder = folder(indoc! {"
        limits: {max_model_calls: 1}
        agents:
          a: {model: offline}
          b: {model: offline, needs: [a]}
    "});
    let run = ["run", "-k", "-i", "go", "-o", "json", "--output-file", "first.json"];
    assert_eq!(crew(&folder, &run).status.code(), Some(1));
    let report = rerun(&folder, &[]).report(0);
    assert_eq!(report["agents"]["b"]["status"], "succeeded");
    assert_eq!(report["usage"]["model_calls"], 2);
}

#[test]
fn the_last_run_can_be_run_again_by_its_id() {
    let folder = folder(YAML);
    let state = folder.path().to_str().unwrap();
    let crew =
        |args: &[&str]| Crew::at(folder.path()).args(args).env("XDG_STATE_HOME", state).run_as_is();
    let earlier = crew(&["run", "-k", "-i", "go", "-o", "json"]).report(1);
    ran(&folder);
    let id = earlier["run_id"].as_str().unwrap();
    assert_eq!(crew(&["rerun", id, "-o", "json"]).report(1)["rerun_of"], id);
    assert_eq!(ran(&folder), ["net"]);
    fix(&folder);
    assert_eq!(crew(&["rerun", "-o", "json"]).report(0)["agents"]["disk"]["reused"], true);
    assert_eq!(ran(&folder), ["net", "summary"]);
}

#[test]
fn what_cannot_be_run_again_is_said() {
    let folder = folder(YAML);
    let mut earlier =
        first(&folder, &["--var", "service=ghp_0123456789abcdefghijklmnopqrstuvwxyz"], 1);
    let said = |ended: Ended, text: &str| {
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(text), "{}", ended.stderr);
        assert!(ran(&folder).is_empty());
    };
    let text =
        |args: &[&str]| crew(&folder, &[&["rerun", "first.json", "-o", "text"], args].concat());
    said(text(&["-a", "dsik"]), "the run has no agent \"dsik\"");
    fs::write(folder.path().join("agents.yaml"), "agents: {a: {prompt: }}").unwrap();
    said(text(&[]), "agents.yaml");
    earlier["invocation"]["vars"]["service"] = "[redacted]".into();
    fs::write(folder.path().join("first.json"), earlier.to_string()).unwrap();
    said(text(&[]), "--var service=VALUE");
    earlier.as_object_mut().unwrap().remove("invocation");
    fs::write(folder.path().join("first.json"), earlier.to_string()).unwrap();
    said(text(&[]), "name the crew's file with -c");
    fs::write(folder.path().join("first.json"), "{}").unwrap();
    said(text(&[]), "is not a report of crew");
}

#[test]
fn an_edited_report_replaces_no_file_and_no_report_of_the_history() {
    let folder = folder(YAML);
    fix(&folder);
    let mut report = first(&folder, &[], 0);
    let id = report["run_id"].as_str().unwrap().to_owned();
    let kept = folder.path().join(format!(".local/state/crew/runs/{id}.json"));
    let original = fs::read_to_string(&kept).unwrap();
    let mut edited = |pointer: &str, value: Value| {
        *report.pointer_mut(pointer).unwrap() = value;
        fs::write(folder.path().join("first.json"), report.to_string()).unwrap();
        rerun(&folder, &[])
    };
    assert_eq!(edited("/input", "edited".into()).report(0)["input"], "edited");
    assert_eq!(fs::read_to_string(&kept).unwrap(), original);
    let outside = folder.path().join("outside").to_str().unwrap().to_owned();
    for id in ["../../../../outside", &outside, "\u{1b}[31m"] {
        let ended = edited("/run_id", id.into());
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("is not the id of a run"), "{}", ended.stderr);
    }
    assert!(!folder.path().join("outside.json").exists());
}

#[test]
fn a_variable_that_was_edited_to_a_number_is_its_text() {
    let folder = folder(YAML);
    fix(&folder);
    let mut report = first(&folder, &["--var", "service=ssh"], 0);
    report["invocation"]["vars"]["service"] = 22.into();
    fs::write(folder.path().join("first.json"), report.to_string()).unwrap();
    let output = rerun(&folder, &[]).report(0)["agents"]["summary"]["output"].clone();
    assert!(output.as_str().unwrap().starts_with("22: "), "{output}");
}

#[test]
fn no_file_takes_the_place_of_the_last_run() {
    let folder = folder(YAML);
    let earlier = first(&folder, &[], 1);
    fs::create_dir(folder.path().join("last")).unwrap();
    let report = crew(&folder, &["rerun", "-k", "-o", "json"]).report(1);
    assert_eq!(report["rerun_of"], earlier["run_id"]);
}

#[test]
fn a_rerun_with_nothing_to_do_keeps_the_recording() {
    let folder = folder(YAML);
    fix(&folder);
    first(&folder, &[], 0);
    fs::write(folder.path().join("r.jsonl"), "paid for").unwrap();
    rerun(&folder, &["--record", "r.jsonl"]).report(0);
    assert_eq!(fs::read_to_string(folder.path().join("r.jsonl")).unwrap(), "paid for");
}
