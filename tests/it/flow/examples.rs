//! The examples that show control flow, with what they need around them.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{Script, error, text};

const CODE_REVIEW: &str = include_str!("../../../examples/code-review.yaml");
const FIX: &str = include_str!("../../../examples/fix-until-green.yaml");

fn git(folder: &Path, args: &[&str]) {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    let mut git = Command::new("git");
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", folder);
    let output = git.current_dir(folder).args(identity).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A repository with one commit and a change of three files, of which one is deleted.
fn repository() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    for name in ["a.rs", "ä b.rs", "gone.rs", "same.rs"] {
        write(name, "fn old() {}\n");
    }
    write("agents.yaml", CODE_REVIEW);
    git(folder.path(), &["init", "-q", "-b", "main"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
    write("a.rs", "fn new_in_a() {}\n");
    write("ä b.rs", "fn new_in_b() {}\n");
    std::fs::remove_file(folder.path().join("gone.rs")).unwrap();
    folder
}

fn review(folder: &Path, args: &[&str], server: Option<&ModelServer>) -> Ended {
    let crew = Crew::at(folder).args(&["run", "-o", "json"]).args(args);
    match server {
        None => crew.args(&["--offline"]).run_as_is(),
        Some(server) => crew
            .env("CREW_MODEL", "openai/gpt-4o")
            .env("OPENAI_API_KEY", "key-0123456789")
            .env("OPENAI_BASE_URL", &server.base_url())
            .run_as_is(),
    }
}

/// Reviewers of `a.rs` find something of this severity, others nothing; the verdict repeats it.
fn answer(request: &Request, severity: &str) -> Script {
    let prompt = request.contents("user")[0];
    let finding =
        json!({"file": "a.rs", "line": 1, "level": "error", "rule": "name", "message": "x"});
    let found = prompt.starts_with("The change of a.rs") || prompt.contains(&finding.to_string());
    let (severity, findings) = if found { (severity, vec![finding]) } else { ("none", Vec::new()) };
    text(&json!({"severity": severity, "findings": findings}).to_string())
}

#[test]
fn the_code_review_runs_offline() {
    let folder = repository();
    let report = review(folder.path(), &[], None).report(0);
    let items = report["agents"]["review"]["items"].as_array().unwrap();
    let keys: Vec<&Value> = items.iter().map(|item| &item["key"]).collect();
    assert_eq!(json!(keys), json!(["a.rs", "gone.rs", "ä b.rs"]));
    let changes = report["agents"]["diff"]["items"].as_array().unwrap();
    assert!(changes[1]["output"].as_str().unwrap().contains("-fn old() {}"), "{changes:#?}");
    assert!(changes[2]["output"].as_str().unwrap().contains("+fn new_in_b() {}"), "{changes:#?}");
    assert_eq!(report["agents"]["verdict"]["status"], "succeeded");
    assert_eq!(report["fail_if"]["holds"], false);
}

#[test]
fn no_file_name_evades_the_code_review() {
    for name in ["a\"b.rs", "a\\b.rs", "a\tb.rs", "a\nb.rs", "a.rs\na.rs"] {
        let folder = repository();
        std::fs::write(folder.path().join(name), "fn hidden() {}\n").unwrap();
        git(folder.path(), &["add", "-N", "."]);
        let report = review(folder.path(), &[], None).report(1);
        assert_eq!(report["agents"]["diff"]["status"], "failed", "{name:?}");
        assert_ne!(report["agents"]["verdict"]["status"], "succeeded", "{name:?}");
    }
}

#[test]
fn the_base_of_the_code_review_is_no_option() {
    let folder = repository();
    let report = review(folder.path(), &["--var", "base=--output=written"], None).report(1);
    assert_eq!(report["agents"]["files"]["status"], "failed");
    assert!(!folder.path().join("written").exists());
}

#[test]
fn the_severity_of_the_verdict_decides() {
    let folder = repository();
    for (severity, exit) in [("high", 4), ("low", 0)] {
        let server = ModelServer::start(move |request| answer(request, severity));
        let report = review(folder.path(), &[], Some(&server)).report(exit);
        assert_eq!(report["answer"]["severity"], severity);
        assert_eq!(report["fail_if"]["holds"], exit == 4);
        assert_eq!(server.requests().len(), 4, "a reviewer for each file, and the verdict");
    }
}

#[test]
fn the_verdict_sums_up_what_succeeded() {
    let folder = repository();
    let server = ModelServer::start(|request| {
        match request.contents("user")[0].starts_with("The change of ä b.rs") {
            true => error(400, "too long for this model"),
            false => answer(request, "low"),
        }
    });
    let report = review(folder.path(), &[], Some(&server)).report(1);
    assert_eq!(report["answer"]["severity"], "low");
    let requests = server.requests();
    let prompt = requests.last().unwrap().contents("user")[0];
    assert!(prompt.contains("a.rs: {") && prompt.contains("ä b.rs: no review: "), "{prompt}");
    assert_eq!(report["fail_if"]["holds"], Value::Null);
}

#[test]
fn without_a_change_no_model_is_asked() {
    let folder = repository();
    git(folder.path(), &["commit", "-q", "-a", "-m", "second"]);
    let server = ModelServer::start(|request| answer(request, "high"));
    let report = review(folder.path(), &[], Some(&server)).report(0);
    let reason = json!({"kind": "when", "expression": "agents.files.data | length > 0"});
    assert_eq!(report["agents"]["verdict"]["reason"], reason);
    assert!(server.requests().is_empty());
    // The change since the branch began.
    let report = review(folder.path(), &["--var", "base=HEAD~1"], Some(&server)).report(4);
    assert_eq!(report["agents"]["review"]["items"].as_array().unwrap().len(), 3);
}

#[test]
fn the_answer_is_fixed_until_its_check_accepts_it() {
    let server =
        ModelServer::sequence(["-r", "-n"].map(|o| text(&json!({"options": o}).to_string())));
    let crew = Crew::new(FIX)
        .env("CREW_MODEL", "openai/gpt-4o")
        .env("OPENAI_API_KEY", "key-0123456789")
        .env("OPENAI_BASE_URL", &server.base_url());
    let report = crew.run().report(0);
    assert_eq!(report["answer"], json!({"options": "-n"}));
    let feedback = server.requests()[1].contents("user").last().unwrap().to_string();
    assert!(feedback.contains("sort -r prints 9 100 10"), "{feedback}");
}
