//! `crew batch status`: counts, while the batch runs and afterwards.

use std::fs;
use std::time::Duration;

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::batch::Batch;
use crate::support::crew::{Crew, Ended};

/// Fails with a message of its own for inputs that begin with `bad`.
const SOME_FAIL: &str = indoc! {r#"
    agents:
      a: {shell: 'case "$x" in bad*) echo "no $x" >&2; exit 3;; esac', env: {x: '{{ input }}'}}
"#};

fn run(batch: &Batch, args: &[&str]) -> Ended {
    Crew::at(&batch.path("")).args(&["batch", "status", "out"]).args(args).run_as_is()
}

fn json_of(batch: &Batch) -> Value {
    let ended = run(batch, &["-o", "json"]);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr))
}

fn text_of(batch: &Batch) -> String {
    let ended = run(batch, &[]);
    assert_eq!(ended.status.code(), Some(0), "{}{}", ended.stdout, ended.stderr);
    ended.stdout
}

#[test]
fn counts_by_status_and_error_with_a_key_for_each() {
    let mut inputs: String = (0..12).map(|number| format!("\"good {number}\"\n")).collect();
    inputs.push_str(&(0..9).map(|number| format!("\"bad {number}\"\n")).collect::<String>());
    inputs.push_str("\"good 0\"\nnot JSON\n");
    let batch = Batch::new(SOME_FAIL, inputs);
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    let status = json_of(&batch);
    assert_eq!(status["state"], "finished");
    assert_eq!(status["statuses"], json!({"failed": 10, "succeeded": 12}));
    assert_eq!(status["error_kinds"], json!({"input": 1, "step": 9}));
    let count = |name: &str| status[name].as_u64();
    assert_eq!(
        [count("inputs"), count("keys"), count("done"), count("left")],
        [Some(23), Some(22), Some(22), Some(0)]
    );
    let errors = status["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert_eq!((&errors[0]["kind"], &errors[0]["count"]), (&json!("step"), &json!(9)));
    let key = errors[0]["key"].as_str().unwrap();
    assert_eq!(batch.line(key)["status"], "failed");
    assert!(errors[0]["message"].as_str().unwrap().contains("no bad"), "{errors:#?}");
    assert_eq!(errors[1]["key"], "line:23");
    let text = text_of(&batch);
    for part in ["finished, all 22 inputs done", "12 succeeded, 10 failed", "line:23"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_ten_most_frequent_errors_are_listed() {
    let inputs: Vec<String> = ('a'..='n')
        .flat_map(|name| (0..=name as u32 - 97).map(move |at| format!("\"bad{name} {at}\"\n")))
        .collect();
    // With one that succeeds: otherwise the batch stops after twenty.
    let batch = Batch::new(SOME_FAIL, format!("\"good\"\n{}", inputs.concat()));
    assert_eq!(batch.run(&["-q", "-j", "1"]).status.code(), Some(1));
    let status = json_of(&batch);
    let counts: Vec<u64> = status["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["count"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, (5..=14).rev().collect::<Vec<u64>>());
}

#[test]
fn a_running_batch_has_a_rate_and_the_time_left() {
    // It cannot end before it may go.
    let yaml = indoc! {r#"
        agents:
          a: {shell: 'test "$number" -lt 5 || test -e go || sleep 60', env: {number: '{{ input }}'}}
    "#};
    let inputs: String = (0..30).map(|number| format!("\"{number}\"\n")).collect();
    let batch = Batch::new(yaml, inputs);
    let running = batch.crew(&["-j", "1"]).start_as_is();
    let until = |condition: &dyn Fn(&Value) -> bool| loop {
        if let Ok(status) = serde_json::from_str(&run(&batch, &["-o", "json"]).stdout)
            && condition(&status)
        {
            return status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    // The inputs are counted while they run.
    let status = until(&|status| status["left_ms"].is_number());
    assert_eq!(status["state"], "running");
    assert_eq!(status["inputs"], 30, "{status:#}");
    assert!(status["left_ms"].as_u64() > Some(0), "{status:#}");
    assert!(status["rate_per_minute"].is_number(), "{status:#}");
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.wait();
    let status = json_of(&batch);
    assert_eq!((&status["state"], &status["rate_per_minute"]), (&json!("stopped"), &Value::Null));
    assert_eq!(status["statuses"]["cancelled"], 1);
    assert!(status["left"].as_u64() > Some(0), "{status:#}");
    fs::write(batch.path("go"), "").unwrap();
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!(json_of(&batch)["state"], "finished");
}

#[test]
fn parts_that_are_missing_foreign_or_there_twice_are_named() {
    let inputs: String = (0..40).map(|number| format!("{{\"id\": {number}}}\n")).collect();
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    for part in ["1/4", "2/4", "4/4"] {
        assert_eq!(batch.run(&["--key", "/id", "--partition", part]).status.code(), Some(0));
    }
    let status = json_of(&batch);
    assert_eq!(status["state"], "stopped");
    assert_eq!((&status["inputs"], &status["faults"]), (&json!(40), &json!([])));
    assert_eq!(
        status["parts"],
        json!({"of": 4, "finished": [1, 2, 4], "running": [],
        "stopped": [], "missing": [3]})
    );
    let text = text_of(&batch);
    assert!(text.contains("4 parts: 3 finished, 1 without results (3)"), "{text}");
    let copy = |from: &str, to: &str| {
        fs::copy(batch.path("out").join(from), batch.path("out").join(to)).unwrap();
        let ended = run(&batch, &[]);
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stdout);
        fs::remove_file(batch.path("out").join(to)).unwrap();
        ended.stdout
    };
    for (from, to, expected) in [
        ("part-1-of-4.jsonl", "part-1-of-8.jsonl", "is of a batch in 8 parts, and this one has 4"),
        ("part-1-of-4.jsonl", "results.jsonl", "is of a batch in one part, and this one has 4"),
        ("part-1-of-4.jsonl", "part-1-of-4 (1).jsonl", "is one of them here twice?"),
        ("part-1-of-4.jsonl", "part-3-of-4.jsonl", "has inputs of another part"),
    ] {
        let text = copy(from, to);
        assert!(text.contains(expected) && text.contains(to), "{to}: {text}");
    }
}

#[test]
fn a_folder_of_something_else_is_an_error() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n");
    let failed = |expected: &str| {
        let ended = run(&batch, &["-o", "json"]);
        assert_eq!(ended.status.code(), Some(2));
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["status"], "invalid");
    };
    failed("No such file");
    fs::create_dir(batch.path("out")).unwrap();
    failed("has no run.json");
    batch.write("out/run.json", "[]");
    failed("is not a file of crew batch");
}
