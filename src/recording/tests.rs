#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn asked(agent: &str, request: Value) -> Asked {
    Asked { kind: Kind::Model, agent: agent.to_owned(), request }
}

fn recording(path: &std::path::Path, mode: RecordingMode) -> Recording {
    let recording = Recording::new(RecordingFile::open(path, mode).unwrap(), Secrets::default());
    recording.begin().unwrap();
    recording
}

fn response(found: Found) -> Value {
    match found {
        Found::Response { response, .. } => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn equal_requests_get_the_answers_of_their_agent_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let recorded = recording(&path, RecordingMode::Record);
    for (agent, answer) in [("a", 1), ("b", 2), ("a", 3)] {
        recorded.record(&asked(agent, json!({"x": 1, "y": 2})), json!(answer));
    }
    let replayed = recording(&path, RecordingMode::Replay);
    // Neither the order of the keys nor that of the agents matters.
    let same = || json!({"y": 2, "x": 1});
    for (agent, answer) in [("b", 2), ("a", 1), ("other", 3)] {
        assert_eq!(response(replayed.take(&asked(agent, same()))), answer);
    }
    let Found::Missing(message) = replayed.take(&asked("a", same())) else { panic!() };
    assert!(message.contains("was recorded 3 times and is made again"), "{message}");
}

#[test]
fn a_torn_last_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    recording(&path, RecordingMode::Record).record(&asked("a", json!(1)), json!("one"));
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str("{\"kind\":\"mod");
    std::fs::write(&path, text).unwrap();
    let both = recording(&path, RecordingMode::ReplayOrRecord);
    assert_eq!(response(both.take(&asked("a", json!(1)))), "one");
    assert!(matches!(both.take(&asked("a", json!(2))), Found::Live));
    both.record(&asked("a", json!(2)), json!("two"));
    let replayed = recording(&path, RecordingMode::Replay);
    assert_eq!(response(replayed.take(&asked("a", json!(2)))), "two");
}

#[test]
fn what_is_no_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        RecordingFile::open(&path, RecordingMode::Replay).unwrap_err().to_string()
    };
    assert!(error("agents: {}\n").contains("not a recording"));
    assert!(error("{\"kind\":\"recording\",\"version\":2}\n").contains("version 2"));
    assert!(error("{\"kind\":\"recording\",\"version\":1}\n{}\n").contains("line 2"));
}

#[test]
fn the_nearest_request_is_shown_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.jsonl");
    let recorded = recording(&path, RecordingMode::Record);
    let request = |user: &str, temperature: f64| json!({"messages": [{"user": user}], "settings": {"temperature": temperature}});
    recorded.record(&asked("a", request("is the network slow today?", 0.5)), json!(""));
    recorded.record(&asked("b", request("is the disk full?", 0.2)), json!(""));
    let replayed = recording(&path, RecordingMode::Replay);
    let missing = |request| match replayed.take(&asked("c", request)) {
        Found::Missing(message) => message,
        other => panic!("{other:?}"),
    };
    let message = missing(request("is the disk fast?", 0.2));
    let expected = "(line 3, agent b) differs in messages[0].user \
                    (recorded \"is the disk full?\", now \"is the disk fast?\")";
    assert!(message.contains(expected), "{message}");
    let message = missing(request("is the network slow today?", 1.0));
    assert!(message.contains("settings.temperature (recorded \"0.5\", now \"1.0\")"), "{message}");
}
