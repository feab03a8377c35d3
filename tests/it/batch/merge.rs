//! `crew batch merge`: all lines in the order of the inputs, or what is missing.

use std::fs;

use serde_json::Value;

use crate::support::batch::{Batch, parsed};
use crate::support::crew::{Crew, Ended};

const INPUTS: u64 = 60;

/// Inputs in parts, each done.
fn batch(parts: u32) -> Batch {
    let inputs: String = (0..INPUTS).map(|number| format!("{{\"id\": {number}}}\n")).collect();
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    for part in 1..=parts {
        run_part(&batch, part, parts);
    }
    batch
}

fn run_part(batch: &Batch, part: u32, parts: u32) {
    let ended = batch.run(&["--key", "/id", "-j", "7", "--partition", &format!("{part}/{parts}")]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

fn merge(batch: &Batch, args: &[&str]) -> Ended {
    Crew::at(&batch.path("")).args(&["batch", "merge", "out"]).args(args).run_as_is()
}

fn indices(ended: &Ended) -> Vec<u64> {
    parsed(&ended.stdout).iter().map(|line| line["index"].as_u64().unwrap()).collect()
}

/// Prints no line and says why; `--partial` prints what is there.
fn refused(batch: &Batch, expected: &[&str], partial: &[u64]) {
    let ended = merge(batch, &[]);
    assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(1), ""), "{}", ended.stderr);
    for text in expected {
        assert!(ended.stderr.contains(text), "{text}: {}", ended.stderr);
    }
    let ended = merge(batch, &["--partial"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(indices(&ended), partial);
}

#[test]
fn the_lines_of_all_parts_are_in_the_order_of_the_inputs() {
    let whole: Vec<u64> = (0..INPUTS).collect();
    for parts in [1, 5] {
        let batch = batch(parts);
        let ended = merge(&batch, &[]);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        assert_eq!(indices(&ended), whole);
        // Byte for byte what is in the files.
        let mut lines: Vec<String> = ended.stdout.lines().map(str::to_owned).collect();
        let files = fs::read_dir(batch.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let results = files.filter(|path| path.extension().is_some_and(|found| found == "jsonl"));
        let mut written: Vec<String> = results
            .flat_map(|path| {
                let text = fs::read_to_string(path).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        written.sort();
        assert_eq!(lines, written);
    }
}

#[test]
fn repeated_inputs_are_no_gap() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n\"b\"\n\"a\"\n\"c\"\n");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    let ended = merge(&batch, &[]);
    assert_eq!((ended.status.code(), indices(&ended)), (Some(0), vec![0, 1, 3]));
}

#[test]
fn a_gap_or_a_missing_part_is_named() {
    let batch = batch(3);
    let path = batch.path("out/part-2-of-3.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let own: Vec<u64> =
        parsed(&text).iter().map(|line: &Value| line["index"].as_u64().unwrap()).collect();
    let without = |missing: &[u64]| -> Vec<u64> {
        (0..INPUTS).filter(|index| !missing.contains(index)).collect()
    };
    fs::remove_file(&path).unwrap();
    refused(&batch, &["there are no results of part 2 of 3"], &without(&own));
    let (first, rest) = text.split_once('\n').unwrap();
    fs::write(&path, rest).unwrap();
    let lost = parsed(first)[0]["index"].as_u64().unwrap();
    let gap = format!("these inputs have no line: {lost} (counted from 0");
    let lines = format!("part-2-of-3.jsonl has {} lines of {}", own.len() - 1, own.len());
    refused(&batch, &[&lines, &gap, "run the batch again"], &without(&[lost]));
    // A torn last line is none.
    fs::write(&path, &text[..text.len() - 1]).unwrap();
    let last = *own.last().unwrap();
    refused(&batch, &[&format!("no line: {last} (")], &without(&[last]));
    run_part(&batch, 2, 3);
    assert_eq!(indices(&merge(&batch, &[])), without(&[]));
}

#[test]
fn an_unfinished_part_is_named() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n\"b\"\n\"c\"\n");
    assert_eq!(batch.run(&["--limit", "2"]).status.code(), Some(0));
    refused(&batch, &["results.jsonl is not finished"], &[0, 1]);
}

#[test]
fn a_part_that_is_there_twice_is_named_and_printed_once() {
    let batch = batch(3);
    let whole: Vec<u64> = (0..INPUTS).collect();
    let copy = |to: &str| fs::copy(batch.path("out/part-2-of-3.jsonl"), batch.path(to)).unwrap();
    copy("out/part-2-of-3 (1).jsonl");
    refused(&batch, &["part-2-of-3 (1).jsonl is none of the parts"], &whole);
    fs::remove_file(batch.path("out/part-2-of-3 (1).jsonl")).unwrap();
    copy("out/part-2-of-4.jsonl");
    refused(&batch, &["a batch in 4 parts, and this one has 3"], &whole);
    fs::remove_file(batch.path("out/part-2-of-4.jsonl")).unwrap();
    let third = batch.read("out/part-3-of-3.jsonl");
    let own: Vec<u64> = parsed(&third).iter().map(|line| line["index"].as_u64().unwrap()).collect();
    copy("out/part-3-of-3.jsonl");
    let rest: Vec<u64> = whole.iter().copied().filter(|index| !own.contains(index)).collect();
    refused(&batch, &["part-3-of-3.jsonl has inputs of another part", "several lines"], &rest);
}

#[test]
fn a_folder_of_something_else_is_an_error() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n");
    let ended = merge(&batch, &[]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("out"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_closes_early_is_no_error_message() {
    let batch = batch(1);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let crew = Crew::at(&batch.path("")).args(&["batch", "merge", "out"]);
    let ended = crew.stdout(writer.into()).run_as_is();
    assert_eq!(ended.stderr, "");
}
