//! What can be read, and what becomes of an input that cannot be used.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use indoc::indoc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::support::batch::{Batch, parsed};
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, delayed};

const ECHO: &str = "agents: {a: {command: [echo, '{{ input }}']}}";
const TITLE: &str = "agents: {a: {command: [echo, '{{ input.title }}']}}";

#[test]
fn an_input_is_a_text_or_an_object_with_parts() {
    let batch = Batch::new(
        "agents: {a: {shell: 'printf %s \"$x\"', env: {x: '{{ input.title }}|{{ input }}'}}}",
        indoc! {r#"
            {"title": "{{ x }}", "n": 1.50, "id": 7}

            "a text"
        "#},
    );
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    let lines = batch.lines();
    let object = lines.iter().find(|line| line["index"] == 0).unwrap();
    assert_eq!(object["answer"], r#"{{ x }}|{"title":"{{ x }}","n":1.5,"id":7}"#);
    assert_eq!(object["status"], "succeeded");
    let text = lines.iter().find(|line| line["index"] == 1).unwrap();
    assert_eq!(text["error"]["kind"], "template", "{text:#}");
    assert!(text["error"]["message"].as_str().unwrap().contains("input.title"), "{text:#}");
    assert_eq!(text["agents"]["a"]["error"], "template");
}

#[test]
fn the_fields_of_csv_and_the_lines_of_text() {
    let batch = Batch::new(TITLE, "");
    let run = |name: &str, content: &str| {
        batch.write(name, content);
        let ended = batch.command(name, &["--out", "-"]).run_as_is();
        let mut lines = parsed(&ended.stdout);
        lines.sort_by_key(|line| line["index"].as_u64());
        lines
    };
    let csv = "\u{feff}id,title\r\n1,\"a, \"\"b\"\"\nc\"\r\n2,d\n";
    let answers: Vec<_> =
        run("in.csv", csv).into_iter().map(|line| line["answer"].clone()).collect();
    assert_eq!(answers, [json!("a, \"b\"\nc\n"), json!("d\n")]);
    batch.write("agents.yaml", ECHO);
    let answers: Vec<_> = run("in.txt", "\u{feff}one \r\n\n{two}\nthree")
        .into_iter()
        .map(|line| line["answer"].clone())
        .collect();
    assert_eq!(answers, [json!("one \n"), json!("{two}\n"), json!("three\n")]);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced_with_a_note() {
    let batch = Batch::new(ECHO, "");
    for (name, content, expected) in [
        ("in.txt", &b"one\nst\xffr\n"[..], "st\u{fffd}r\n"),
        ("in.jsonl", b"\"one\"\n\"st\xe9\xe9r\"\n", "st\u{fffd}\u{fffd}r\n"),
        ("in.csv", b"title\nst\xff\n", "{\"title\":\"st\u{fffd}\"}\n"),
    ] {
        batch.write(name, content);
        let ended = batch.command(name, &["--out", "-"]).run_as_is();
        let lines = parsed(&ended.stdout);
        assert!(lines.iter().any(|line| line["answer"] == expected), "{name}: {lines:#?}");
        let note =
            "the inputs are not valid UTF-8; invalid bytes were replaced, the first in line 2";
        assert!(ended.stderr.contains(note), "{name}: {}", ended.stderr);
    }
}

#[test]
fn a_bad_input_is_one_failed_line_with_its_number() {
    let large = format!("{{\"id\": \"large\", \"title\": \"{}\"}}", "x".repeat(20_000_000));
    let wide =
        format!("{{\"id\": \"wide\", \"title\": \"w\", \"x\": \"{}\"}}", "x".repeat(10_000_000));
    let inputs = [
        "{\"id\": 1, \"title\": \"one\"}",
        "not JSON",
        "{\"title\": \"no key\"}",
        &large,
        "{\"id\": 1, \"title\": \"another with this key\"}",
        "{\"title\": \"one\", \"id\": 1.0}",
        "{\"id\": \"line:3\", \"title\": \"x\"}",
        "[1]",
        "{\"id\": {}, \"title\": \"x\"}",
        &wide,
        "{\"id\": \"last\", \"title\": \"la",
    ];
    let batch = Batch::new(TITLE, inputs.join("\n"));
    let ended = batch.run(&["--key", "/id"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(batch.keys("succeeded"), ["1", "wide"]);
    let failed = ["line:11", "line:2", "line:3", "line:4", "line:5", "line:7", "line:8", "line:9"];
    assert_eq!(batch.keys("failed"), failed);
    for (number, why) in [
        (2, "it is not JSON"),
        (3, "it has no key /id"),
        (4, "it is larger than 16 MiB"),
        (5, "another input has the key \"1\""),
        (7, "is the name of an input that cannot be used"),
        (8, "it has no key /id"),
        (9, "its key /id is neither a text nor a number"),
    ] {
        let line = batch.line(&format!("line:{number}"));
        assert_eq!(line["error"]["kind"], "input");
        assert_eq!(line["index"], number - 1);
        let message = line["error"]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
}

#[test]
fn ragged_rows_of_csv_are_failed_lines() {
    let batch = Batch::new(TITLE, "");
    batch.write("in.csv", "id,title\n1,a\n2\n3,\"b\nb\",c\n4,d\n5,\"open\n6,e\n");
    let ended = batch.command("in.csv", &["--out", "out", "--key", "/id"]).run_as_is();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(batch.keys("succeeded"), ["1", "4", "5"]);
    assert_eq!(batch.keys("failed"), ["line:3", "line:4"]);
    let line = batch.line("line:4");
    assert_eq!(line["error"]["message"], "it has 3 fields, and the header has 2");
    // The line is that of the file, whatever ends lines, also after blank ones.
    batch.write("dos.csv", "id,title\r\n1,\"a\r\na\"\r\n2\r\n\r\n\r\n1,b\r\n3\r\n");
    let ended = batch.command("dos.csv", &["--out", "-", "--key", "/id"]).run_as_is();
    let failed = parsed(&ended.stdout).into_iter().filter(|line| line["status"] == "failed");
    let mut keys: Vec<String> = failed.map(|line| line["key"].to_string()).collect();
    keys.sort();
    assert_eq!(keys, ["\"line:4\"", "\"line:7\"", "\"line:8\""], "{}", ended.stdout);
}

#[test]
fn inputs_that_cannot_be_read_are_usage_errors() {
    let batch = Batch::new(ECHO, "");
    batch.write("in.xml", "");
    batch.write("no-header.csv", "");
    batch.write("twice.csv", "a,a\n");
    std::fs::create_dir(batch.path("folder.jsonl")).unwrap();
    for (name, why) in [
        ("none.jsonl", "No such file"),
        ("in.xml", ".jsonl, .csv or .txt"),
        ("no-header.csv", "the file is empty"),
        ("twice.csv", "two columns are named \"a\""),
        ("folder.jsonl", "directory"),
    ] {
        let ended = batch.command(name, &["--out", "out"]).run_as_is();
        assert_eq!(ended.status.code(), Some(2), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(why), "{name}: {}", ended.stderr);
        assert!(ended.stdout.is_empty());
    }
    let ended = batch.run(&["--key", "id"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("did you mean /id?"), "{}", ended.stderr);
}

#[test]
fn standard_input_is_jsonl_and_stdout_takes_the_lines() {
    let batch = Batch::new(ECHO, "\"a\"\n\"b\"\n\"a\"\n");
    let stdin = std::fs::File::open(batch.path("in.jsonl")).unwrap();
    let ended = batch.command("-", &["--out", "-"]).stdin(Stdio::from(stdin)).run_as_is();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let mut answers: Vec<_> =
        parsed(&ended.stdout).into_iter().map(|line| line["answer"].clone()).collect();
    answers.sort_by_key(ToString::to_string);
    assert_eq!(answers, [json!("a\n"), json!("b\n")]);
    assert!(!batch.path("-").exists());
}

#[test]
fn one_run_with_an_object_as_its_input() {
    let batch = Batch::new(TITLE, "");
    let run = |input: &str| {
        crate::support::crew::Crew::at(&batch.path("."))
            .args(&["run", "-o", "answer", input])
            .run_as_is()
    };
    assert_eq!(run("{\"title\": \"x\"}").stdout, "x\n");
    let ended = run("a text");
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("uses parts of its input"), "{}", ended.stderr);
}

#[test]
fn a_pipe_is_standard_input_only() {
    let batch = Batch::new(ECHO, "");
    mkfifo(&batch.path("pipe.jsonl"), Mode::S_IRWXU).unwrap();
    let ended = batch.command("pipe.jsonl", &["--out", "out"]).run_as_is();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("give a pipe as standard input"), "{}", ended.stderr);
    assert!(!batch.path("out").exists());
}

#[test]
fn numbers_whose_digits_are_lost_are_no_keys() {
    let inputs = "{\"id\": 18446744073709551615}\n{\"id\": 18446744073709551616}\n\
        {\"id\": 18446744073709551617}\n{\"id\": 9007199254740993}\n";
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    assert_eq!(batch.run(&["--key", "/id"]).status.code(), Some(1));
    assert_eq!(batch.keys("succeeded"), ["18446744073709551615", "9007199254740993"]);
    assert_eq!(batch.keys("failed"), ["line:2", "line:3"]);
    assert!(batch.line("line:2")["error"]["message"].as_str().unwrap().contains("as a text"));
}

#[test]
fn a_file_that_grows_while_it_is_read_runs_to_its_new_end() {
    let server = ModelServer::start(|_| delayed(Duration::from_millis(50), script::text("x")));
    let yaml = format!(
        "providers: {{p: {{base_url: '{}'}}}}\nagents: {{a: {{model: p/m}}}}",
        server.base_url()
    );
    let numbers = |from: usize, to| (from..to).map(|n| format!("\"{n}\"\n")).collect::<String>();
    let batch = Batch::new(yaml, numbers(0, 60));
    let running = batch.crew(&["-j", "2"]).start_as_is();
    server.wait_for("a call", |state| !state.requests.is_empty());
    let mut file = OpenOptions::new().append(true).open(batch.path("in.jsonl")).unwrap();
    file.write_all(numbers(60, 80).as_bytes()).unwrap();
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(batch.lines().len(), 80);
    // Half a line at the end is a failed line, and runs when it is whole.
    file.write_all(b"\"80").unwrap();
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    assert_eq!(batch.keys("failed"), ["line:81"]);
    file.write_all(b"\"\n").unwrap();
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!(batch.lines().len(), 81);
}

#[test]
fn a_step_that_has_to_be_confirmed_needs_yes() {
    let batch = Batch::new("agents: {a: {command: ['true'], confirm: true}}", "\"x\"\n");
    let ended = batch.run(&[]);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("a has to be confirmed"), "{}", ended.stderr);
    assert!(!batch.path("out").exists());
    assert_eq!(batch.run(&["--yes", "--drain", "90s", "--drain", "1s"]).status.code(), Some(0));
}
