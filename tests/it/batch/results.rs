//! The lines of the results and the reports beside them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::Duration;

use indoc::{formatdoc, indoc};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::batch::{Batch, parsed};
use crate::support::crew::is_alive;
use crate::support::mcp_server;
use crate::support::mock_model::ModelServer;
use crate::support::pty::Pty;
use crate::support::script;

#[test]
fn a_line_says_what_became_of_its_input() {
    let server = ModelServer::start(|request| match request.contents("user")[0] {
        "bad" => script::error(400, "no such thing"),
        text => script::text(&format!("answer to {text}")),
    });
    let yaml = formatdoc! {"
        providers: {{p: {{base_url: '{}'}}}}
        prices: {{'p/*': {{input: 1, output: 2}}}}
        output: last
        agents:
          first: {{model: p/m}}
          last: {{command: [echo, '{{{{ agents.first.output }}}}'], needs: [first]}}
    ", server.base_url()};
    let batch = Batch::new(yaml, "{\"id\": 1, \"q\": 2}\n\"bad\"\n");
    let ended = batch.run(&["--reports"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("1 input succeeded · 1 failed · 10 in, 5 out · cost"),
        "{}",
        ended.stderr
    );
    let lines = batch.lines();
    let line = lines.iter().find(|line| line["index"] == 0).unwrap();
    let names: Vec<&String> = line.as_object().unwrap().keys().collect();
    let expected = [
        "key",
        "index",
        "status",
        "answer",
        "data",
        "error",
        "usage",
        "cost",
        "attempts",
        "duration_ms",
        "agents",
        "fingerprint",
        "content",
    ];
    assert_eq!(names, expected);
    assert_eq!(line["answer"], "answer to {\"id\":1,\"q\":2}\n");
    assert_eq!((&line["status"], &line["data"]), (&json!("succeeded"), &Value::Null));
    assert_eq!((&line["error"], &line["attempts"]), (&Value::Null, &json!(1)));
    assert_eq!(line["usage"]["output_tokens"], 5);
    assert_eq!(line["cost"], json!(0.00002));
    assert_eq!(line["agents"]["first"]["output_tokens"], 5);
    let line = lines.iter().find(|line| line["index"] == 1).unwrap();
    assert_eq!((&line["status"], &line["answer"]), (&json!("failed"), &Value::Null));
    assert_eq!(line["error"]["kind"], "bad_request");
    assert!(line["error"]["message"].as_str().unwrap().contains("no such thing"));
    assert_eq!(line["agents"]["last"]["status"], "skipped");
    let report = format!("out/reports/{}.json", line["key"].as_str().unwrap());
    let report: Value = serde_json::from_str(&batch.read(&report)).unwrap();
    assert_eq!(report["agents"]["first"]["error"]["kind"], "bad_request");
    assert_eq!(report["input"], "bad");
}

#[test]
fn structured_answers_and_fail_if() {
    let yaml = indoc! {"
        fail_if: agents.a.data.n > 1
        agents: {a: {command: [echo, '{{ input }}'], parse: json}}
    "};
    let batch = Batch::new(yaml, "{\"n\": 1}\n{\"n\": 2}\n");
    assert_eq!(batch.run(&[]).status.code(), Some(1));
    let mut lines = batch.lines();
    lines.sort_by_key(|line| line["index"].as_u64());
    assert_eq!((&lines[0]["data"], &lines[0]["status"]), (&json!({"n": 1}), &json!("succeeded")));
    assert_eq!(
        (&lines[1]["status"], &lines[1]["error"]["kind"]),
        (&json!("failed"), &json!("fail_if"))
    );
}

#[test]
fn keys_of_any_form_name_a_file_of_the_folder() {
    let long = "x".repeat(1000);
    let inputs = [json!("../../up"), json!("a/b"), json!(".."), json!(long), json!("é\u{0}")];
    let inputs: String = inputs.iter().map(|key| format!("{{\"id\": {key}}}\n")).collect();
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    let ended = batch.run(&["--key", "/id", "--reports"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    assert_eq!(fs::read_dir(batch.path("out/reports")).unwrap().count(), 5);
    assert_eq!(fs::read_dir(batch.path(".")).unwrap().count(), 3);
}

#[test]
fn a_sample_is_the_same_each_time_and_a_limit_counts_from_the_beginning() {
    let inputs: String = (0..200).map(|number| format!("\"{number}\"\n")).collect();
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    let sampled = |args: &[&str]| {
        let ended = batch.command("in.jsonl", &["--out", "-"]).args(args).run_as_is();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let lines = parsed(&ended.stdout);
        let mut indices: Vec<u64> =
            lines.iter().map(|line| line["index"].as_u64().unwrap()).collect();
        indices.sort();
        indices
    };
    let sample = sampled(&["--sample", "20"]);
    assert_eq!((sample.len(), &sampled(&["--sample", "20"])), (20, &sample));
    assert_ne!(sampled(&["--sample", "20", "--seed", "1"]), sample);
    assert_eq!(sampled(&["--limit", "3"]), [0, 1, 2]);
    assert_eq!(batch.run(&["--sample", "20"]).status.code(), Some(0));
    assert_eq!(batch.run(&["--limit", "50"]).status.code(), Some(0));
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!(batch.keys("succeeded").len(), 200);
    let ended = batch.command("-", &["--out", "out", "--sample", "3"]).run_as_is();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
}

#[test]
fn a_folder_that_cannot_be_written_is_a_usage_error() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n");
    batch.write("file", "");
    let ended = batch.command("in.jsonl", &["--out", "file"]).run_as_is();
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("Not a directory"), "{}", ended.stderr);
    fs::create_dir(batch.path("out")).unwrap();
    fs::set_permissions(batch.path("out"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(batch.path("out/probe"), "").is_err() {
        let ended = batch.run(&[]);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains("cannot write out/"), "{}", ended.stderr);
    }
}

#[test]
fn results_that_do_not_fit_on_the_disk_are_kept_elsewhere() {
    let inputs: String = (0..9).map(|number| format!("\"{number}\"\n")).collect();
    let batch = Batch::new("agents: {a: {model: offline}}", inputs);
    let tmp = batch.path("tmp");
    fs::create_dir(&tmp).unwrap();
    let limit = 1500;
    let crew = batch.crew(&["-j", "1"]).env("TMPDIR", tmp.to_str().unwrap());
    let crew = crew.prepare(move || Ok(setrlimit(Resource::RLIMIT_FSIZE, limit, limit)?));
    let ended = crew.run_as_is();
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    let kept = fs::read_dir(tmp).unwrap().next().unwrap().unwrap().path();
    let kept = parsed(&fs::read_to_string(kept).unwrap());
    assert!(ended.stderr.contains("1 result was kept in"), "{}", ended.stderr);
    let done = batch.lines();
    assert!(!done.is_empty() && kept[0]["index"] == done.len(), "{kept:#?}");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    assert_eq!((&batch.lines()[..done.len()], batch.lines().len()), (&done[..], 9));
}

#[test]
fn a_report_that_cannot_be_kept_costs_no_line() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"x\"\n\"y\"\n");
    assert_eq!(batch.run(&["--limit", "0", "--reports"]).status.code(), Some(0));
    // A folder where the first report goes.
    let probe = Batch::new("agents: {a: {model: offline}}", "\"x\"\n");
    probe.run(&[]);
    let key = probe.lines()[0]["key"].as_str().unwrap().to_owned();
    fs::create_dir(batch.path(format!("out/reports/{key}.json"))).unwrap();
    let ended = batch.run(&["-j", "1", "--reports"]);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot write out/reports/"), "{}", ended.stderr);
    assert_eq!(batch.keys("succeeded")[0], key);
}

#[test]
fn files_go_with_every_input_and_messages_into_the_reports() {
    let server = ModelServer::start(|request| {
        assert!(request.contents("user")[0].contains("the house rules"));
        script::text("x")
    });
    let yaml = format!(
        "providers: {{p: {{base_url: '{}'}}}}\nagents: {{a: {{model: p/m}}}}",
        server.base_url()
    );
    let batch = Batch::new(yaml, "{\"id\": \"a\"}\n{\"id\": \"b\"}\n");
    batch.write("rules.txt", "the house rules");
    let args = ["--key", "/id", "--attach", "rules.txt", "--reports", "--messages"];
    let ended = batch.run(&args);
    assert_eq!((ended.status.code(), server.requests().len()), (Some(0), 2), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&batch.read("out/reports/a.json")).unwrap();
    let messages = report["agents"]["a"]["messages"].to_string();
    assert!(messages.contains("house rules") || messages.contains("rules.txt"), "{report:#}");
    // The files are a part of what the results are of.
    batch.write("rules.txt", "the house rules, and more");
    let ended = batch.run(&args);
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("attachments of a"), "{}", ended.stderr);
}

#[test]
fn a_bar_shows_how_far_the_batch_is() {
    let server =
        ModelServer::start(|_| script::delayed(Duration::from_millis(300), script::text("x")));
    let yaml = format!(
        "providers: {{p: {{base_url: '{}'}}}}\nagents: {{a: {{model: p/m}}}}",
        server.base_url()
    );
    let inputs: String = (0..6).map(|number| format!("\"{number}\"\n")).collect();
    let (batch, pty) = (Batch::new(yaml, inputs), Pty::open());
    let ended = batch.crew(&["-j", "1"]).stderr(pty.as_stderr()).run_as_is();
    assert_eq!(ended.status.code(), Some(0), "{}", pty.shown());
    let shown = pty.shown();
    assert!(shown.contains("3 of about "), "{shown:?}");
    assert!(shown.contains("6 inputs succeeded"), "{shown:?}");
}

#[test]
fn a_line_every_ten_seconds_shows_it_elsewhere() {
    let server = ModelServer::start(|request| match request.contents("user")[0] {
        "0" => script::text("x"),
        _ => script::hang(),
    });
    let yaml = format!(
        "limits: {{grace: 100ms}}\nproviders: {{p: {{base_url: '{}'}}}}\nagents: {{a: {{model: p/m}}}}",
        server.base_url()
    );
    let batch = Batch::new(yaml, "\"0\"\n\"1\"\n");
    let running = batch.crew(&["-j", "1"]).start_as_is();
    running.wait_for_stderr(" of about 2 done · 0 failed · ");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    let line = ended.stderr.lines().next().unwrap();
    // Done, failed, rate, tokens and the time left.
    let parts: Vec<&str> = line.split(" · ").collect();
    assert_eq!((parts.len(), parts[0], parts[1]), (5, "1 of about 2 done", "0 failed"), "{line}");
    assert!(parts[2].ends_with("/s") && parts[3] == "10 in, 5 out", "{line}");
    assert!(parts[4].ends_with(" left"), "{line}");
}

#[test]
fn a_look_at_the_status_keeps_no_batch_from_starting() {
    let batch = Batch::new("agents: {a: {model: offline}}", "\"a\"\n");
    assert_eq!(batch.run(&[]).status.code(), Some(0));
    let lock = fs::File::open(batch.path("out/results.lock")).unwrap();
    lock.lock_shared().unwrap();
    let running = batch.crew(&[]).start_as_is();
    thread::sleep(Duration::from_millis(200));
    lock.unlock().unwrap();
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn all_inputs_share_one_mcp_server() {
    let servers = mcp_server::yaml("", "");
    let yaml = format!("{servers}agents: {{a: {{model: offline, tools: [fx.echo]}}}}");
    let inputs: String = (0..20).map(|number| format!("\"{number}\"\n")).collect();
    let batch = Batch::new(yaml, inputs);
    let ended = batch.run(&["-j", "8"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    let starts = batch.read("starts");
    assert_eq!((starts.lines().count(), batch.keys("succeeded").len()), (1, 20));
    assert!(!is_alive(Pid::from_raw(starts.trim().parse().unwrap())));
}
