//! `-o jsonl`: events as they happen, and the schema of reports and events.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use indoc::indoc;
use jsonschema::Validator;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::batch::Batch;
use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script;

/// A crew with all kinds of agents and endings.
const YAML: &str = indoc! {r#"
    name: all kinds
    fail_if: agents.each.status == 'succeeded'
    limits: {on_failure: continue}
    providers: {mock: {base_url: '${URL}', api_key_env: MOCK_KEY}}
    tools:
      say: {description: Say, command: [echo, "{{ word }}"], parameters: {word: {type: string}}}
    agents:
      asked: {model: mock/m, tools: [say], prompt: go}
      each: {for_each: ["true", "false"], command: ["{{ item }}"]}
      checked: {model: mock/m, prompt: go, check: {command: ["true"]}}
      slow: {command: [sleep, '60'], timeout: 50ms}
      needy: {needs: [each], command: [echo]}
      unasked: {when: "false", command: [echo]}
"#};

fn events(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types<'a>(events: &'a [Value], agent: &str) -> Vec<&'a str> {
    let of_agent = events.iter().filter(|event| event["agent"] == agent);
    of_agent.map(|event| event["type"].as_str().unwrap()).collect()
}

/// The validators of a report and of a line of events.
fn validators() -> [Validator; 2] {
    validators_of("report", "event")
}

/// The validators of a schema and of one of its definitions.
fn validators_of(name: &str, definition: &str) -> [Validator; 2] {
    let mut schema = Crew::at(&std::env::temp_dir()).args(&["schema", name]).run_as_is().json();
    let whole = jsonschema::validator_for(&schema).unwrap();
    let part = format!("#/$defs/{definition}");
    let part = json!({"$ref": part, "$defs": schema["$defs"].take()});
    [whole, jsonschema::validator_for(&part).unwrap()]
}

#[track_caller]
fn assert_valid(validator: &Validator, value: &Value) {
    let faults: Vec<String> = validator
        .iter_errors(value)
        .map(|fault| format!("{}: {fault}", fault.instance_path()))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}\n{value:#}");
}

fn run(options: &[&str]) -> Ended {
    let server = ModelServer::start(|request: &Request| match request.has_tool_results() {
        false if request.body["tools"].is_array() => {
            script::tool_call("say", &json!({"word": "hi"}))
        }
        _ => script::text("done"),
    });
    let env = [("URL", &*server.base_url()), ("MOCK_KEY", "k-0123456789abcdef")];
    Crew::new(YAML).args(options).envs(&env).run_as_is()
}

#[test]
fn events_and_reports_fit_their_schema() {
    let [report, event] = validators();
    let ended = run(&["-o", "jsonl", "--messages", "--report", "json=report.json"]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let events = events(&ended);
    for (at, found) in events.iter().enumerate() {
        assert_valid(&event, found);
        if at + 1 < events.len() {
            assert_eq!(found["seq"], at);
        }
    }
    let last = events.last().unwrap();
    assert_eq!(last["type"], "report");
    let written = fs::read_to_string(ended.path().join("report.json")).unwrap();
    assert_eq!(last["report"], serde_json::from_str::<Value>(&written).unwrap());
    assert_valid(&report, &last["report"]);
    assert_eq!(events[0]["type"], "run_started");
    assert_eq!(events[0]["agents"][1], "each");
    let asked = types(&events, "asked");
    for expected in
        ["agent_started", "model_call_started", "tokens", "tool_started", "tool_finished"]
    {
        assert!(asked.contains(&expected), "{expected}: {asked:?}");
    }
    assert_eq!(asked.last(), Some(&"agent_finished"));
    assert_eq!(types(&events, "each[false]"), ["agent_started", "step_started", "agent_finished"]);
    assert!(types(&events, "each").contains(&"instances_known"));
    assert!(types(&events, "checked").contains(&"check_finished"));
    // The schema is not one that everything fits.
    for (pointer, value) in [("/status", json!("fine")), ("/agents/each/items/0/key", json!(1))] {
        let mut broken = last["report"].clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!report.is_valid(&broken), "{pointer}");
    }
    assert!(!event.is_valid(&json!({"seq": 0, "time_ms": 0, "agent": null, "type": "other"})));
}

#[test]
fn nothing_that_ran_is_one_line() {
    let ended = Crew::new("agents: {a: {}}\n").args(&["-o", "jsonl"]).run();
    assert_eq!(ended.status.code(), Some(2));
    let [last] = events(&ended).try_into().unwrap();
    assert_eq!((&last["type"], &last["report"]["status"]), (&json!("report"), &json!("invalid")));
    let [report, event] = validators();
    assert_valid(&event, &last);
    let document = Crew::new("agents: {a: {}}\n").args(&["-o", "json"]).run().json();
    assert_eq!(document, last["report"]);
    assert_valid(&report, &document);
    let mut broken = document;
    broken["status"] = json!("failed");
    assert!(!report.is_valid(&broken));
}

#[test]
fn messages_are_events_if_asked_for() {
    let [_, event] = validators();
    let ended = run(&["-o", "jsonl", "--messages"]);
    let lines = events(&ended);
    let is_message = |line: &&Value| line["type"] == "message" && line["agent"] == "asked";
    let messages: Vec<&Value> = lines.iter().filter(is_message).collect();
    messages.iter().for_each(|line| assert_valid(&event, line));
    let roles: Vec<&str> =
        messages.iter().map(|line| line["message"]["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "assistant"]);
    // Where they belong among the other events, and as they are in the report.
    let place = |found: &Value| lines.iter().position(|line| line == found).unwrap();
    let tool = lines.iter().position(|line| line["type"] == "tool_started").unwrap();
    assert!(place(messages[1]) < tool && tool < place(messages[2]), "{lines:#?}");
    let reported = &lines.last().unwrap()["report"]["agents"]["asked"]["messages"];
    let sent: Vec<&Value> = messages.iter().map(|line| &line["message"]).collect();
    assert_eq!(json!(sent), *reported);
    // Other options that need them do not make them events.
    let ended = run(&["-o", "jsonl", "--trace", "trace"]);
    assert!(events(&ended).iter().all(|line| line["type"] != "message"));
}

#[test]
fn the_files_of_a_batch_fit_their_schema() {
    let [line, run] = validators_of("batch", "run");
    let yaml = indoc! {r#"
        agents:
          a:
            shell: 'test "$x" != bad && printf "{\"a\": [1]}"'
            env: {x: '{{ input }}'}
            parse: json
    "#};
    let batch = Batch::new(yaml, "\"good\"\n\"bad\"\nnot JSON\n");
    assert_eq!(batch.run(&["--partition", "1/1"]).status.code(), Some(1));
    let name = fs::read_dir(batch.path("out")).unwrap().map(|file| file.unwrap().file_name());
    let name = name.map(|name| name.into_string().unwrap()).find(|name| name.ends_with(".jsonl"));
    let lines = crate::support::batch::parsed(&batch.read(&format!("out/{}", name.unwrap())));
    assert_eq!(lines.len(), 3);
    lines.iter().for_each(|found| assert_valid(&line, found));
    let file: Value = serde_json::from_str(&batch.read("out/run.json")).unwrap();
    assert_valid(&run, &file);
    let mut broken = lines[0].clone();
    broken["index"] = json!("1");
    assert!(!line.is_valid(&broken) && !run.is_valid(&broken));
}

#[test]
fn events_come_while_the_run_goes_on() {
    let crew = Crew::new("agents: {a: {shell: 'sleep 60'}}\n").args(&["-o", "jsonl"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = crew.stdout(Stdio::from(writer)).start_as_is();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"step_started\"")));
    running.signal(Signal::SIGINT);
    let lines: Vec<String> = lines.collect();
    assert!(lines.iter().any(|line| line.contains("\"stopping\"")), "{lines:?}");
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(last["report"]["status"], "cancelled");
    running.wait();
}

#[test]
fn events_go_to_a_file_while_the_run_goes_on() {
    let crew = Crew::new("agents: {a: {shell: 'touch started; sleep 60'}}\n");
    fs::write(crew.path("events"), "old\n").unwrap();
    let running = crew.args(&["-o", "jsonl", "--output-file", "events"]).start_as_is();
    running.wait_for_file("started");
    crate::support::crew::wait_for("the event in the file", || {
        let text = fs::read_to_string(running.path("events")).unwrap();
        text.contains("\"step_started\"").then_some(())
    });
    running.signal(Signal::SIGTERM);
    let path = running.path("events");
    let ended = running.wait();
    let text = fs::read_to_string(path).unwrap();
    assert!(text.starts_with("{\"seq\":0,") && ended.stdout.is_empty(), "{text}");
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["report"]["reason"]["kind"], "terminated");
}

/// Has far more events than a pipe takes.
const TALKATIVE: &str = indoc! {r#"
    agents:
      numbers: {command: [seq, '250'], parse: lines}
      many:
        needs: [numbers]
        for_each: agents.numbers.data
        max_items: 250
        key: "{{ 'x' * 90 }}{{ index }}"
        max_parallel: 8
        command: ["true"]
      last: {needs: [many], command: [touch, finished]}
"#};

#[test]
fn a_reader_that_stalls_does_not_hold_up_the_run() {
    let crew = Crew::new(TALKATIVE).args(&["-o", "jsonl", "--report", "json=report.json"]);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let running = crew.stdout(Stdio::from(writer)).start_as_is();
    running.wait_for_file("finished");
    // Other reports, and the history, do not wait for the reader.
    let written = running.path("report.json");
    crate::support::crew::wait_for("the report in the file", || {
        let text = fs::read_to_string(&written).unwrap_or_default();
        text.contains("\"succeeded\"").then_some(())
    });
    let history = running.path(".local/state/crew/runs");
    crate::support::crew::wait_for("the report in the history", || {
        fs::read_dir(&history).ok()?.next().map(drop)
    });
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert!(text.len() > 100_000, "{}", text.len());
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["report"]["status"], "succeeded");
    assert_eq!(running.wait().status.code(), Some(0));
}

#[test]
fn a_stalled_reader_does_not_hold_up_the_end_after_a_signal() {
    let crew = Crew::new(TALKATIVE).args(&["-o", "jsonl"]);
    let folder = crew.path("");
    let crew = crew.env("TMPDIR", folder.to_str().unwrap());
    let (_reader, writer) = std::io::pipe().unwrap();
    let running = crew.stdout(Stdio::from(writer)).start_as_is();
    running.wait_for_file("finished");
    running.signal(Signal::SIGINT);
    let ended = running.wait();
    assert!(ended.stderr.contains("its reader stopped reading"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_ends_the_run() {
    let options = ["-o", "jsonl", "--report", "json=report.json"];
    let crew = Crew::new("agents: {a: {shell: 'sleep 60'}}\n").args(&options);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = crew.stdout(Stdio::from(writer)).start_as_is();
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.contains("run_started"), "{line}");
    let ended = running.wait();
    assert_eq!(ended.status.code(), Some(3));
    let report = fs::read_to_string(ended.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["status"], "cancelled");
}
