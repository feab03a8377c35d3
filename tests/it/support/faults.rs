//! Runs the program on a faulty file and reads what it says.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub fn crew(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crew"))
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", dir)
        .envs(env.iter().copied())
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

pub fn folder(yaml: impl AsRef<[u8]>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("agents.yaml"), yaml).unwrap();
    dir
}

pub fn run(yaml: impl AsRef<[u8]>, more: &[&str], env: &[(&str, &str)]) -> Output {
    let dir = folder(yaml);
    crew(dir.path(), &[&["run", "--input", "go", "-o", "json"], more].concat(), env)
}

/// The faults of a file, from the JSON document that stands in for the report.
#[track_caller]
pub fn faults(output: &Output) -> Vec<Value> {
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{stdout}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["status"], "invalid");
    assert_eq!(report["exit_code"], 2);
    report["errors"].as_array().unwrap().clone()
}

/// `path line:column message | hint`, a line a fault.
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

/// Every line of `expected` is `path line:column`, then pieces of the message and hint, all
/// separated by ` .. `; the file has these faults and no others.
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
    let output = run(yaml, more, env);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{yaml}\n{stdout}");
    serde_json::from_slice(&output.stdout).unwrap()
}

pub const OFFLINE: &str = "defaults: {model: offline}\n";
pub const AGENT: &str = "agents: {a: {}}\n";

/// Faults in a file whose first line makes `offline` the model, so that `yaml` begins in line 2; it
/// is given an agent if it has none.
#[track_caller]
pub fn expect_in(yaml: &str, expected: &[&str]) {
    let agents = if yaml.contains("agents:") { "" } else { AGENT };
    expect(&format!("{OFFLINE}{yaml}{agents}"), &[], &[], expected);
}
