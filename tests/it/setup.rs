//! `crew init`, `crew schema`, `crew completions` and `crew man`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::support::crew::{Crew, Ended};
use crate::support::mock_model::ModelServer;
use crate::support::script;

const TEMPLATES: [&str; 4] = ["minimal", "code-review", "it-support", "research"];
const SCHEMA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/crew.schema.json");
/// No server listens there.
const NO_OLLAMA: (&str, &str) = ("OLLAMA_HOST", "127.0.0.1:9");

fn crew(folder: &Path, args: &[&str]) -> Crew {
    Crew::at(folder).env(NO_OLLAMA.0, NO_OLLAMA.1).args(args)
}

fn schema() -> Value {
    let folder = tempfile::tempdir().unwrap();
    crew(folder.path(), &["schema"]).run_as_is().json()
}

#[test]
fn every_template_runs_as_it_is() {
    for template in TEMPLATES {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| crew(folder.path(), args).run_as_is();
        // The code review reads the change of a repository.
        for git in [&["init", "-q"][..], &["commit", "-q", "--allow-empty", "-m", "first"]] {
            let mut command = Command::new("git");
            command.current_dir(&folder).args(["-c", "user.name=a", "-c", "user.email=a@b.c"]);
            assert!(command.args(git).status().unwrap().success());
        }
        let ended = run(&["init", "--template", template]);
        assert_eq!(ended.status.code(), Some(0), "{template}: {}", ended.stderr);
        for text in ["wrote agents.yaml with the model offline: ", "crew check\n", "crew run"] {
            assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
        }
        let text = fs::read_to_string(folder.path().join("agents.yaml")).unwrap();
        let first = text.lines().next().unwrap();
        let url = schema()["$id"].as_str().unwrap().to_owned();
        assert_eq!(first, format!("# yaml-language-server: $schema={url}"));
        assert!(!text.contains("examples/"), "{template}: {text}");
        let checked = run(&["check"]);
        assert_eq!(checked.status.code(), Some(0), "{template}: {}", checked.stderr);
        let ran = run(&["run", "--offline", "-i", "why is the sky blue?", "-o", "json"]);
        ran.report(0);
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let init = |args: &[&str]| crew(folder.path(), &[&["init"], args].concat()).run_as_is();
    fs::write(folder.path().join("agents.yaml"), "mine").unwrap();
    let refused = init(&[]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(refused.stderr.contains("agents.yaml exists"), "{}", refused.stderr);
    std::os::unix::fs::symlink("nowhere.yaml", folder.path().join("link.yaml")).unwrap();
    assert_eq!(init(&["link.yaml"]).status.code(), Some(2));
    assert!(!folder.path().join("nowhere.yaml").exists());
    assert_eq!(fs::read_to_string(folder.path().join("agents.yaml")).unwrap(), "mine");

    fs::create_dir(folder.path().join("sub")).unwrap();
    let below = init(&["sub"]);
    assert_eq!(below.status.code(), Some(0), "{}", below.stderr);
    assert!(below.stdout.contains("crew check -c sub/agents.yaml"), "{}", below.stdout);
    assert!(fs::read_to_string(folder.path().join("sub/agents.yaml")).unwrap().contains("draft:"));
    let lost = init(&["none/agents.yaml"]);
    assert_eq!(lost.status.code(), Some(2));
    assert!(lost.stderr.contains("none/agents.yaml"), "{}", lost.stderr);
}

/// What `crew init` says, and the model in its file.
fn chosen(env: &[(&str, &str)]) -> (Ended, String) {
    let folder = tempfile::tempdir().unwrap();
    let ended = crew(folder.path(), &["init"]).envs(env).run_as_is();
    let text = fs::read_to_string(folder.path().join("agents.yaml")).unwrap();
    let line = text.lines().find(|line| line.trim_start().starts_with("model: ")).unwrap();
    let model = line.split(":-").nth(1).unwrap().split('}').next().unwrap().to_owned();
    assert!(ended.stdout.contains(&format!("with the model {model}: ")), "{}", ended.stdout);
    (ended, model)
}

#[test]
fn the_model_is_one_that_the_machine_has() {
    for (variable, provider) in [
        ("OPENAI_API_KEY", "openai/"),
        ("ANTHROPIC_API_KEY", "anthropic/"),
        ("GEMINI_API_KEY", "gemini/"),
        ("OPENROUTER_API_KEY", "openrouter/"),
    ] {
        let (ended, model) = chosen(&[(variable, "k")]);
        assert!(model.starts_with(provider), "{model}");
        assert!(ended.stdout.contains(&format!("{variable} is set")), "{}", ended.stdout);
    }
    assert_eq!(chosen(&[("OPENAI_API_KEY", " ")]).1, "offline");

    let list = |names: &[&str]| {
        let models: Vec<Value> = names.iter().map(|name| json!({"id": name})).collect();
        ModelServer::always(script::json_body(200, &json!({"data": models})))
    };
    let server = list(&["llama3.1:8b", "other"]);
    let host = server.address().to_string();
    let (ended, model) = chosen(&[("OLLAMA_HOST", &host)]);
    assert_eq!(model, "ollama/llama3.1:8b", "{}", ended.stdout);
    assert_eq!(server.requests()[0].path, "/v1/models");
    assert_eq!(
        chosen(&[("OLLAMA_HOST", &host), ("GEMINI_API_KEY", "k")]).1,
        "gemini/gemini-2.5-flash"
    );
    let hostile = list(&["x}\nshell: rm", "fine"]);
    assert_eq!(chosen(&[("OLLAMA_HOST", &hostile.address().to_string())]).1, "ollama/fine");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    for silent in [script::hang(), script::garbage("?"), script::error(500, "no")] {
        let server = ModelServer::always(silent);
        let (ended, model) = chosen(&[("OLLAMA_HOST", &server.address().to_string())]);
        assert_eq!(model, "offline");
        assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    }
}

#[test]
fn the_published_schema_is_current() {
    let published = fs::read_to_string(SCHEMA_FILE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let printed = crew(folder.path(), &["schema", "crew"]).run_as_is().stdout;
    assert!(printed == published, "run: cargo run -- schema > docs/crew.schema.json");
}

#[test]
fn the_schema_accepts_the_examples_and_no_unknown_key() {
    let validator = jsonschema::validator_for(&schema()).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> =
        fs::read_dir(root.join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.push(root.join("agents.example.yaml"));
    for file in files {
        let mut yaml: serde_yaml::Value =
            serde_yaml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        yaml.apply_merge().unwrap();
        let value = serde_json::to_value(&yaml).unwrap();
        let found: Vec<String> =
            validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(found.is_empty(), "{}: {found:#?}", file.display());
    }
    for (file, is_valid) in [
        (json!({"agents": {"a": {"prompt": {"file": "p.md"}}}, "x-a": 1, "tools": null}), true),
        (json!({"agents": {"a": {"max_turns": "${TURNS}", "model": ["a/b", "offline"]}}}), true),
        (json!({"agents": {"a": {"promt": "x"}}}), false),
        (json!({"agents": {"a": {"max_turns": "many"}}}), false),
        (json!({"limits": {"on_failure": "stop"}}), false),
        (json!({"agents": ["a"]}), false),
    ] {
        assert_eq!(validator.is_valid(&file), is_valid, "{file}");
    }
}

/// The keys of every mapping with fixed keys, with its path.
fn closed(schema: &Value, path: &[String], found: &mut Vec<(Vec<String>, BTreeSet<String>)>) {
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    if schema["additionalProperties"] == false {
        let properties = schema["properties"].as_object().unwrap();
        found.push((path.to_vec(), properties.keys().cloned().collect()));
        properties.iter().for_each(|(name, inner)| closed(inner, &below(name), found));
    } else if schema["additionalProperties"].is_object() {
        closed(&schema["additionalProperties"], &below("x"), found);
    }
}

#[test]
fn the_schema_and_the_loader_know_the_same_keys() {
    let mut mappings = Vec::new();
    closed(&schema(), &[], &mut mappings);
    assert!(mappings.len() > 10, "{mappings:#?}");
    for (path, keys) in mappings {
        let mut file = json!({"qqqqqq": 1});
        for name in path.iter().rev() {
            file = Value::Object(Map::from_iter([(name.clone(), file)]));
        }
        let ended = Crew::check(file.to_string()).args(&["-o", "json"]).run_as_is();
        let report = ended.report(2);
        let errors = report["files"][0]["errors"].as_array().unwrap();
        let unknown = errors
            .iter()
            .find(|error| error["message"] == "unknown key \"qqqqqq\"")
            .unwrap_or_else(|| panic!("{path:?}: {errors:#?}"));
        let known = unknown["hint"].as_str().unwrap().strip_prefix("known here: ").unwrap();
        let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
        assert_eq!(known, keys, "{path:?}");
    }
}

#[test]
fn every_key_is_described() {
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if !inner["description"].is_string() {
                found.push(path.clone());
            }
            undescribed(inner, &path, found);
        }
        if schema["additionalProperties"].is_object() {
            undescribed(&schema["additionalProperties"], &format!("{path}.*"), found);
        }
    }
    let mut found = Vec::new();
    undescribed(&schema(), "", &mut found);
    assert!(found.is_empty(), "not in a table of docs/file.md: {found:#?}");
}

#[test]
fn completions_and_manual_pages_cover_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let text = |args: &[&str]| {
        let ended = crew(folder.path(), args).run_as_is();
        assert_eq!(ended.status.code(), Some(0), "{args:?}: {}", ended.stderr);
        ended.stdout
    };
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&["completions", shell]);
        assert!(script.contains("selftest") && script.contains("max-parallel"), "{shell}");
    }
    let page = text(&["man"]);
    assert!(page.contains(".TH crew 1") && page.contains("render"), "{page}");
    assert!(text(&["man", "run"]).contains("max\\-parallel"));
    let unknown = crew(folder.path(), &["man", "nothing"]).run_as_is();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.contains("there is no command \"nothing\""), "{}", unknown.stderr);
}
