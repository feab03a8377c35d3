//! Runs crew on a faulty file and reads the faults it reports.

use serde_json::Value;

use super::crew::{Crew, Ended};

pub fn run(yaml: impl AsRef<[u8]>, more: &[&str], env: &[(&str, &str)]) -> Ended {
    Crew::new(yaml).args(&["-o", "json"]).args(more).envs(env).run()
}

/// The faults of a file, from the JSON document that crew writes instead of a report.
#[track_caller]
pub fn faults(ended: &Ended) -> Vec<Value> {
    let report = ended.report(2);
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "invalid");
    report["errors"].as_array().unwrap().clone()
}

/// Each fault as `path line:column message | hint`.
pub fn lines(faults: &[Value]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    faults
        .iter()
        .map(|fault| {
            let [path, line, column, message, hint] =
                ["path", "line", "column", "message", "hint"].map(|key| text(&fault[key]));
            format!("{path} {line}:{column} {message} | {hint}")
        })
        .collect()
}

/// Asserts that the file has these faults and no others. Each of them is `path line:column`, then
/// pieces of the message and of the hint, all separated by ` .. `.
#[track_caller]
pub fn expect(yaml: &str, more: &[&str], env: &[(&str, &str)], expected: &[&str]) {
    let found = lines(&faults(&run(yaml, more, env)));
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| {
            let mut pieces = expected.split(" .. ");
            found.starts_with(&format!("{} ", pieces.next().unwrap()))
                && pieces.all(|piece| found.contains(piece))
        });
    assert!(fits, "{yaml}\nexpected {expected:#?}\nfound {found:#?}");
}

#[track_caller]
pub fn expect_good(yaml: &str, more: &[&str], env: &[(&str, &str)]) -> Value {
    let ended = run(yaml, more, env);
    assert_eq!(ended.status.code(), Some(0), "{yaml}\n{}", ended.stdout);
    ended.json()
}

pub const OFFLINE: &str = "defaults: {model: offline}\n";
pub const AGENT: &str = "agents: {a: {}}\n";

/// As [`expect`], for a file whose first line makes `offline` the model, so that `yaml` begins in
/// line 2. It gets an agent if it has none.
#[track_caller]
pub fn expect_in(yaml: &str, expected: &[&str]) {
    let agents = if yaml.contains("agents:") { "" } else { AGENT };
    expect(&format!("{OFFLINE}{yaml}{agents}"), &[], &[], expected);
}
