//! `--record`, `--replay` and `--replay-or-record` of a batch: one recording for all inputs.

use std::time::Duration;

use indoc::indoc;
use serde_json::{Value, json};

use crate::support::batch::{Batch, parsed};
use crate::support::crew::Ended;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};

const YAML: &str = indoc! {"
    providers: {p: {base_url: '${URL}', api_key_env: KEY}}
    defaults: {retries: 1}
    tools: {shout: {shell: 'echo \"$word\" loud', parameters: {word: {type: string}}}}
    agents: {a: {model: p/m, tools: [shout]}}
"};
const INPUTS: usize = 40;

/// Nothing listens here.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Inputs of which every third calls a tool, and every third fails at first or for good.
fn batch() -> Batch {
    let inputs: String = (0..INPUTS).map(|number| format!("{{\"id\": {number}}}\n")).collect();
    Batch::new(YAML, inputs)
}

fn reply(request: &Request) -> Script {
    let text = request.contents("user")[0];
    let number: u64 =
        text.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
    let script = match number % 3 {
        _ if request.has_tool_results() => script::text(&format!("done {number}")),
        0 => script::tool_call("shout", &json!({"word": number.to_string()})),
        1 => script::text(&format!("answer {number}")),
        _ => script::stream().text("so far").cut(),
    };
    script::delayed(Duration::from_millis(number * 7 % 20), script)
}

fn run(batch: &Batch, url: &str, args: &[&str]) -> Ended {
    let args = [&["--key", "/id"], args].concat();
    let keys = [("URL", url), ("KEY", "key-0123456789")];
    // A replay needs no key.
    let keys = if url == NOWHERE { &keys[..1] } else { &keys };
    batch.command("in.jsonl", &args).envs(keys).run_as_is()
}

/// What became of each input, in their order.
fn answers(lines: &str) -> Vec<Value> {
    let mut lines = parsed(lines);
    lines.sort_by_key(|line| line["index"].as_u64());
    let of = |line: &Value| {
        json!([
            line["key"],
            line["status"],
            line["answer"],
            line["error"]["kind"],
            line["attempts"],
            line["usage"]["input_tokens"],
            line["usage"]["tool_calls"]
        ])
    };
    lines.iter().map(of).collect()
}

#[test]
fn a_batch_replays_exactly_without_the_server() {
    let (server, batch) = (ModelServer::start(reply), batch());
    let ended = run(&batch, &server.base_url(), &["--out", "out", "--record", "r.jsonl"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let calls = server.requests().len();
    drop(server);
    let recorded = batch.read("r.jsonl");
    assert_eq!(recorded.lines().count(), 1 + calls);
    assert!(!recorded.contains("key-0123456789"));
    let expected = answers(&batch.read("out/results.jsonl"));
    assert_eq!(expected.len(), INPUTS);
    assert!(
        ["\"succeeded\"", "\"failed\"", "done 3", "answer 4"]
            .iter()
            .all(|part| { expected.iter().any(|answer| answer.to_string().contains(part)) })
    );
    // Neither the key nor the server is there, and parts replay the same file.
    let again = run(&batch, NOWHERE, &["--out", "again", "--replay", "r.jsonl"]);
    assert_eq!(again.status.code(), Some(1), "{}", again.stderr);
    assert_eq!(answers(&batch.read("again/results.jsonl")), expected);
    for part in ["1/2", "2/2"] {
        run(&batch, NOWHERE, &["--out", "parts", "--partition", part, "--replay", "r.jsonl"]);
    }
    let parts = ["1", "2"].map(|part| batch.read(&format!("parts/part-{part}-of-2.jsonl")));
    assert_eq!(answers(&parts.concat()), expected);
    // An input that was not recorded is one failed input.
    batch.write("in.jsonl", "{\"id\": 1}\n{\"id\": 4000}\n");
    let ended = run(&batch, NOWHERE, &["--out", "-", "--replay", "r.jsonl"]);
    let kinds: Vec<Value> = answers(&ended.stdout).iter().map(|line| line[3].clone()).collect();
    assert_eq!(kinds, [Value::Null, json!("not_recorded")], "{}", ended.stdout);
}

#[test]
fn a_recording_that_would_lose_something_is_refused() {
    let (server, batch) = (ModelServer::start(reply), batch());
    let inputs = batch.read("in.jsonl");
    let refused = |args: &[&str], why: &str| {
        let ended = run(&batch, &server.base_url(), args);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    };
    for option in ["--record", "--replay-or-record"] {
        for (file, why) in [
            ("in.jsonl", "the file of the inputs is the same"),
            ("agents.yaml", "the crew's file is the same"),
        ] {
            refused(&["--out", "out", option, file], why);
        }
        let args = ["--out", "out", "--partition", "1/2", option, "r.jsonl"];
        refused(&args, "by one process, not by each part");
    }
    assert_eq!((batch.read("in.jsonl"), batch.read("agents.yaml")), (inputs, YAML.to_owned()));
    assert!(!batch.path("out/run.json").exists() && !batch.path("r.jsonl").exists());
    // A batch that continues records its exchanges beside those that are there.
    run(&batch, &server.base_url(), &["--out", "out", "--limit", "2", "--record", "r.jsonl"]);
    let recorded = batch.read("r.jsonl");
    refused(&["--out", "out", "--record", "r.jsonl"], "the folder has results");
    refused(&["--out", "out", "--record", "out/results.jsonl"], "results is the same");
    assert_eq!(batch.read("r.jsonl"), recorded);
    let calls = server.requests().len();
    let args = ["--out", "out", "--limit", "10", "--replay-or-record", "r.jsonl"];
    run(&batch, &server.base_url(), &args);
    assert!(server.requests().len() > calls && batch.read("r.jsonl").starts_with(&recorded));
}
