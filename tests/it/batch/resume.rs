//! The same command again continues.

use std::fs;

use serde_json::{Value, json};

use crate::support::batch::Batch;

/// Fails for inputs whose name is the content of a file that does not exist.
const FAILING: &str =
    "agents: {a: {shell: 'echo x >> calls; test -e \"$f\"', env: {f: '{{ input }}'}}}";

fn calls(batch: &Batch) -> usize {
    fs::read_to_string(batch.path("calls")).unwrap_or_default().lines().count()
}

#[test]
fn what_failed_runs_again_and_what_succeeded_does_not() {
    let batch = Batch::new(FAILING, "\"in.jsonl\"\n\"later\"\n\"never\"\nbad\n");
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    assert_eq!((calls(&batch), batch.lines().len()), (3, 4));
    batch.write("later", "");
    let ended = batch.run(&["--retry", "none"]);
    assert_eq!((ended.status.code(), calls(&batch)), (Some(1), 3));
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    assert_eq!((calls(&batch), batch.lines().len()), (5, 4));
    assert_eq!(batch.keys("failed").len(), 2);
    let attempts: Vec<Value> = batch.lines().iter().map(|line| line["attempts"].clone()).collect();
    assert_eq!(attempts.iter().filter(|attempts| **attempts == json!(2)).count(), 3);
    batch.write("in.jsonl", "\"later\"\n");
    assert_eq!(batch.run(&["--retry", "none"]).status.code(), Some(1));
    assert_eq!(calls(&batch), 5);
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n\"b\"\n");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    let whole = batch.read("out/results.jsonl");
    for torn in
        [&whole[..whole.len() - 1], &whole[..whole.len() - 20], &format!("{whole}{{\"key\":")]
    {
        batch.write("out/results.jsonl", torn);
        let ended = batch.run(&[]);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(batch.keys("succeeded").len(), 2);
        assert!(batch.read("out/results.jsonl").ends_with("}\n"));
    }
}

#[test]
fn a_changed_crew_is_an_error_that_says_what_changed() {
    let yaml = |prompt: &str, comment: &str, timeout: &str| {
        format!(
            "# {comment}\nvars: {{tone: calm}}\nagents:\n  review: {{model: offline, timeout: {timeout}, \
             prompt: \"{prompt} {{{{ vars.tone }}}} {{{{ input }}}}\"}}\n"
        )
    };
    let batch = Batch::new(yaml("old", "x", "10s"), "\"a\"\n\"b\"\n");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    let before = batch.lines();
    batch.write("agents.yaml", yaml("old", "another comment", "20s"));
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!(batch.lines(), before);
    batch.write("agents.yaml", yaml("new", "x", "10s"));
    let ended = batch.run(&["--var", "tone=loud"]);
    assert_eq!(ended.status.code(), Some(2));
    let what = "the crew has changed since: prompt of review, variable tone";
    assert!(ended.stderr.contains(what), "{}", ended.stderr);
    assert_eq!(batch.lines(), before);
    batch.write("in.jsonl", "\"a\"\n\"b\"\n\"c\"\n");
    assert_eq!(batch.run(&["--changed", "keep"]).status.code(), Some(0));
    assert_eq!(batch.lines()[..2], before[..]);
    assert_eq!(batch.lines().len(), 3);
    // From now on the new crew is the one that counts.
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!(batch.lines()[..2], before[..]);
    batch.write("agents.yaml", yaml("newer", "x", "10s"));
    assert_eq!(batch.run(&["--changed", "rerun"]).status.code(), Some(0));
    let fingerprints: Vec<Value> =
        batch.lines().iter().map(|line| line["fingerprint"].clone()).collect();
    assert_eq!(fingerprints.len(), 3);
    assert!(
        fingerprints.iter().all(|one| *one == fingerprints[0] && *one != before[0]["fingerprint"])
    );
}

#[test]
fn a_folder_that_is_not_this_batch_is_refused() {
    let batch = Batch::new("agents: {a: {model: offline}}", "{\"id\": 1}\n");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    let refused = |args: &[&str], why: &str| {
        let before = batch.read("out/results.jsonl");
        let ended = batch.run(args);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert_eq!(batch.read("out/results.jsonl"), before);
    };
    refused(&["--key", "/id"], "the keys of this batch are the hashes of inputs, not /id");
    batch.write("agents.yaml", "agents: {b: {model: offline}}");
    refused(&[], "the crew has changed since: model of a, model of b");
    batch.write("agents.yaml", "agents: {a: {model: offline}}");
    let results = batch.read("out/results.jsonl");
    batch.write("out/results.jsonl", format!("{{\"a\": 1}}\n{results}"));
    refused(&[], "line 1 is no result");
    batch.write("out/results.jsonl", results);
    fs::remove_file(batch.path("out/run.json")).unwrap();
    refused(&[], "has results and no run.json");
}
