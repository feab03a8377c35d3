//! `--partition`: which inputs a process runs, as the user or an engine says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::batch::{Batch, parsed};
use crate::support::crew::Ended;
use crate::support::mock_model::ModelServer;
use crate::support::script::{delayed, text};

const OFFLINE: &str = "agents: {a: {model: offline}}";

fn inputs(numbers: impl Iterator<Item = u32>) -> String {
    numbers.map(|number| format!("{{\"id\": {number}}}\n")).collect()
}

/// 40 inputs with a key.
fn batch() -> Batch {
    Batch::new(OFFLINE, inputs(0..40))
}

/// `--key /id --partition PARTITION …` with these variables, as `NAME=VALUE NAME=VALUE`.
fn run(batch: &Batch, variables: &str, args: &str) -> Ended {
    let args: Vec<&str> = args.split_whitespace().collect();
    let variables: Vec<(&str, &str)> =
        variables.split_whitespace().map(|text| text.split_once('=').unwrap()).collect();
    let crew = batch.crew(&["--key", "/id"]).args(&["--partition"]).args(&args);
    crew.envs(&variables).run_as_is()
}

fn part(batch: &Batch, part: u32, of: u32) -> Vec<Value> {
    parsed(&batch.read(&format!("out/part-{part}-of-{of}.jsonl")))
}

fn keys(lines: &[Value]) -> BTreeSet<String> {
    lines.iter().map(|line| line["key"].as_str().unwrap().to_owned()).collect()
}

/// The message of a command that was refused.
fn refused(ended: &Ended) -> &str {
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    &ended.stderr
}

#[test]
fn every_input_belongs_to_one_part_whatever_the_order() {
    let (batch, reversed) = (batch(), Batch::new(OFFLINE, inputs((0..60).rev())));
    let mut all = BTreeSet::new();
    for number in 1..=3 {
        let partition = format!("{number}/3");
        assert_eq!(run(&batch, "", &partition).status.code(), Some(0));
        assert_eq!(run(&reversed, "", &partition).status.code(), Some(0));
        let own = keys(&part(&batch, number, 3));
        assert!(own.len() > 5, "{own:?}");
        // More inputs in another order: those that were there stay where they were.
        assert!(own.is_subset(&keys(&part(&reversed, number, 3))));
        assert!(own.iter().all(|key| all.insert(key.clone())), "{own:?}");
    }
    assert_eq!(all.len(), 40);
    assert!(!batch.path("out/results.jsonl").exists());
    // The same on every machine and in every version: the last 16 digits of
    // `printf %s 7 | sha256sum`, modulo 3.
    let of_seven = (1..=3).find(|number| keys(&part(&batch, *number, 3)).contains("7"));
    assert_eq!(of_seven, Some(2));
}

#[test]
fn every_engine_says_which_part_a_task_is() {
    for (variables, args) in [
        (
            "SLURM_ARRAY_TASK_ID=20 SLURM_ARRAY_TASK_COUNT=8 SLURM_ARRAY_TASK_MIN=0 \
          SLURM_ARRAY_TASK_MAX=70 SLURM_ARRAY_TASK_STEP=10",
            "auto",
        ),
        ("JOB_COMPLETION_INDEX=2", "auto --partitions 8"),
        ("AWS_BATCH_JOB_ARRAY_INDEX=2 AWS_BATCH_JOB_ARRAY_SIZE=8", "auto"),
        ("CLOUD_RUN_TASK_INDEX=2 CLOUD_RUN_TASK_COUNT=8", "auto"),
        ("BUILDKITE_PARALLEL_JOB=2 BUILDKITE_PARALLEL_JOB_COUNT=8", "auto"),
        ("CIRCLE_NODE_INDEX=2 CIRCLE_NODE_TOTAL=8", "auto"),
        ("CI_NODE_INDEX=3 CI_NODE_TOTAL=8 GITLAB_CI=true", "auto"),
        ("CI_NODE_INDEX=2 CI_NODE_TOTAL=8 HEROKU_TEST_RUN_ID=7", "auto"),
        ("CI_NODE_INDEX=1 CI_NODE_TOTAL=2", "3/8"),
    ] {
        let batch = batch();
        let ended = run(&batch, variables, args);
        assert_eq!(ended.status.code(), Some(0), "{variables}: {}", ended.stderr);
        assert!(batch.path("out/part-3-of-8.jsonl").exists(), "{variables}");
    }
}

#[test]
fn an_unclear_place_is_an_error_that_says_why() {
    let sparse = "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_MIN=3 \
                  SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_STEP=1";
    let two = "CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=2 JOB_COMPLETION_INDEX=0";
    for (variables, args, expected) in [
        ("", "auto", "none of the variables SLURM_ARRAY_TASK_ID, "),
        ("JOB_COMPLETION_INDEX=2", "auto", "--partitions N"),
        (sparse, "auto", "--partitions N"),
        (two, "auto --partitions 2", "JOB_COMPLETION_INDEX (Kubernetes) and CIRCLE_NODE_INDEX"),
        ("CIRCLE_NODE_INDEX=two CIRCLE_NODE_TOTAL=8", "auto", "CIRCLE_NODE_INDEX is \"two\""),
        ("CIRCLE_NODE_INDEX=8 CIRCLE_NODE_TOTAL=8", "auto", "CIRCLE_NODE_INDEX is 8"),
        ("CIRCLE_NODE_INDEX=0", "auto", "CIRCLE_NODE_TOTAL"),
        ("", "0/8", "the first one is 1/8"),
        ("", "9/8", "K from 1 to N"),
        ("", "8", "K/N"),
        ("", "1/8 --partitions 4", "8 parts"),
    ] {
        let batch = batch();
        let ended = run(&batch, variables, args);
        assert!(refused(&ended).contains(expected), "{variables} {args}: {}", ended.stderr);
        assert!(!batch.path("out").exists(), "{variables} {args}");
    }
}

#[test]
fn tasks_submitted_again_are_the_same_parts() {
    let batch = batch();
    let slurm = |task: u32, min: u32, max: u32, step: u32, count: u32| {
        format!(
            "SLURM_ARRAY_TASK_ID={task} SLURM_ARRAY_TASK_MIN={min} SLURM_ARRAY_TASK_MAX={max} \
             SLURM_ARRAY_TASK_STEP={step} SLURM_ARRAY_TASK_COUNT={count}"
        )
    };
    for task in [10, 20, 30, 40] {
        assert_eq!(run(&batch, &slurm(task, 10, 40, 10, 4), "auto").status.code(), Some(0));
    }
    let before: Vec<Vec<Value>> = (1..=4).map(|number| part(&batch, number, 4)).collect();
    std::fs::remove_file(batch.path("out/part-2-of-4.jsonl")).unwrap();
    std::fs::remove_file(batch.path("out/part-4-of-4.jsonl")).unwrap();
    for task in [20, 40] {
        assert_eq!(run(&batch, &slurm(task, 20, 40, 1, 2), "auto").status.code(), Some(0));
    }
    for (number, before) in (1..).zip(&before) {
        assert_eq!(keys(&part(&batch, number, 4)), keys(before));
    }
    let ended = run(&batch, &slurm(50, 50, 50, 1, 1), "auto");
    assert!(refused(&ended).contains("the 4 parts are the tasks 10 to 40 in steps of 10"));
    // Another number of parts is another batch.
    for (args, variables) in [
        ("1/8", ""),
        ("auto --partitions 8", "JOB_COMPLETION_INDEX=1"),
        ("auto", "CIRCLE_NODE_INDEX=0 CIRCLE_NODE_TOTAL=8"),
    ] {
        let ended = run(&batch, variables, args);
        let expected = "the folder holds the results of 4 parts, not of 8 parts";
        assert!(refused(&ended).contains(expected), "{args}: {}", ended.stderr);
    }
    let ended = batch.run(&["--key", "/id"]);
    assert!(refused(&ended).contains("not of all inputs in one part"), "{}", ended.stderr);
    // Kubernetes does not count the tasks, but the folder knows their number.
    assert_eq!(run(&batch, "JOB_COMPLETION_INDEX=3", "auto").status.code(), Some(0));
}

#[test]
fn parts_that_start_together_agree() {
    let batch = batch();
    let start = |task: u32| {
        let task = task.to_string();
        let variables = [("CLOUD_RUN_TASK_INDEX", &*task), ("CLOUD_RUN_TASK_COUNT", "6")];
        let crew = batch.crew(&["--key", "/id", "--partition", "auto"]).envs(&variables);
        crew.start_as_is()
    };
    let running: Vec<_> = (0..6).map(start).collect();
    for ended in running.into_iter().map(crate::support::crew::Running::wait) {
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    }
    let all: BTreeSet<String> = (1..=6).flat_map(|number| keys(&part(&batch, number, 6))).collect();
    assert_eq!(all.len(), 40);
    let pinned: Value = serde_json::from_str(&batch.read("out/run.json")).unwrap();
    assert_eq!(pinned["partitions"], 6);
    assert_eq!(pinned["tasks"], json!({"engine": "cloud_run", "first": 0, "step": 1}));
}

#[test]
fn without_a_request_all_inputs_run_and_a_warning_says_so() {
    let batch = batch();
    let variables = [("CIRCLE_NODE_INDEX", "1"), ("CIRCLE_NODE_TOTAL", "4")];
    let ended = batch.crew(&["--key", "/id"]).envs(&variables).run_as_is();
    assert_eq!((ended.status.code(), batch.lines().len()), (Some(0), 40));
    assert!(ended.stderr.contains("--partition auto"), "{}", ended.stderr);
    // A job that is not parallel.
    let variables = [("CIRCLE_NODE_INDEX", "0"), ("CIRCLE_NODE_TOTAL", "1")];
    let ended = batch.crew(&["--key", "/id"]).envs(&variables).run_as_is();
    assert!(!ended.stderr.contains("--partition auto"), "{}", ended.stderr);
}

#[test]
fn a_part_takes_its_share_of_the_calls_at_once() {
    let pause = Duration::from_millis(100);
    for (limit, parts, expected) in [(8, 4, 2), (3, 4, 1)] {
        let server = ModelServer::start(move |_| delayed(pause, text("done")));
        let yaml = format!(
            "providers: {{p: {{base_url: '{}', max_concurrency: {limit}}}}}\n\
             agents: {{a: {{model: p/m}}}}\n",
            server.base_url()
        );
        let batch = Batch::new(yaml, inputs(0..40));
        let ended = run(&batch, "", &format!("1/{parts} -j 40"));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(server.state().peak_calls, expected);
    }
}
