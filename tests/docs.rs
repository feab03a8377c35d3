//! The examples and the documentation: each example runs offline, each documented crew file is
//! valid, each documented command succeeds. And the workflows of GitHub, ours and the documented
//! ones.
//!
//! The info string of a fence says what the test does with the block:
//!
//! - `yaml`: a complete crew file; `crew check` must accept it.
//! - `yaml fragment`: top-level keys of a crew file; the test adds a model and an agent if missing.
//! - `sh ci`: commands, one a line, run from the root of the repository. `.ci/run` runs those of
//!   the README.
//! - anything else: text.
//!
//! Files and folders that a block names as `./…`, and schemas (`….json`, `….yaml`), are created.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const CREW: &str = env!("CARGO_BIN_EXE_crew");

/// The variables that the built-in providers take their keys from.
const KEYS: [&str; 4] =
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"];

#[test]
fn examples_run_offline() {
    let mut examples = files_in("examples", "yaml");
    assert!(!examples.is_empty(), "examples/ holds no crew file");
    examples.push(root().join("agents.example.yaml"));
    let failures: Vec<String> = examples.iter().filter_map(|file| example(file).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

#[test]
fn documented_crew_files_are_valid() {
    let blocks = documents().into_iter().flat_map(|file| blocks(&file));
    let mut checked = 0;
    let mut failures = Vec::new();
    for block in blocks {
        let text = match block.info.as_str() {
            "yaml" => block.text.clone(),
            "yaml fragment" => completed(&block.text),
            _ => continue,
        };
        checked += 1;
        failures.extend(check(&block, &text).err());
    }
    assert!(checked > 0, "the documentation shows no crew file");
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

#[test]
fn documented_commands_succeed() {
    let blocks = files_in("docs", "md").into_iter().flat_map(|file| blocks(&file));
    let mut failures = Vec::new();
    for block in blocks.filter(|block| block.info == "sh ci") {
        for (at, line) in block.text.lines().enumerate() {
            failures.extend(run_line(&block, block.line + 1 + at, line).err());
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n\n"));
}

#[test]
fn links_lead_to_files() {
    let mut broken = Vec::new();
    for file in documents() {
        let text = fs::read_to_string(&file).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let local = targets.filter(|target| !target.is_empty() && !target.contains("://"));
        let missing = local.filter(|target| !file.parent().unwrap().join(target).exists());
        broken.extend(missing.map(|target| format!("{}: {target}", file.display())));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A value that GitHub fills into a script can hold code: scripts get values as variables.
#[test]
fn workflows_keep_values_out_of_scripts() {
    let mut workflows = files_in(".github/workflows", "yml");
    workflows.extend(Some(root().join("action.yml")).filter(|file| file.exists()));
    let mut texts: Vec<(String, String)> = workflows
        .iter()
        .map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap()))
        .collect();
    let blocks = documents().into_iter().flat_map(|file| blocks(&file));
    let other = blocks.filter(|block| block.info == "yaml other");
    texts.extend(other.map(|block| (format!("{}:{}", block.file, block.line), block.text)));
    assert!(texts.len() > workflows.len());
    for (name, text) in texts {
        let value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        for script in scripts(&value) {
            assert!(!script.contains("${{"), "{name}: {script}");
        }
    }
}

/// The values of all keys `run` and `script`.
fn scripts(value: &serde_yaml::Value) -> Vec<String> {
    match value {
        serde_yaml::Value::Mapping(entries) => {
            let of_entry =
                |(key, value): (&serde_yaml::Value, &serde_yaml::Value)| match key.as_str() {
                    Some("run" | "script") => vec![serde_yaml::to_string(value).unwrap()],
                    _ => scripts(value),
                };
            entries.iter().flat_map(of_entry).collect()
        }
        serde_yaml::Value::Sequence(items) => items.iter().flat_map(scripts).collect(),
        _ => Vec::new(),
    }
}

/// A fenced block of a Markdown file.
struct Block {
    file: String,
    /// The line of the opening fence, from 1.
    line: usize,
    info: String,
    text: String,
}

impl Block {
    fn failure(&self, line: usize, text: &str, output: &Output) -> String {
        format!("{}:{line}: in a block `{}`:\n{text}\n{}", self.file, self.info, shown(output))
    }
}

fn example(file: &Path) -> Result<(), String> {
    let name = file.strip_prefix(root()).unwrap().display().to_string();
    let home = TempDir::new().unwrap();
    let crew = |arguments: &[&str]| {
        crew(&home).current_dir(root()).args(arguments).args(["-c", &name]).output().unwrap()
    };
    let checked = crew(&["check"]);
    if !checked.status.success() {
        return Err(format!("{name}: crew check: {}", shown(&checked)));
    }
    let ran = crew(&["run", "-q", "-o", "json", "--offline", "-i", "my laptop is slow"]);
    let report: Value = serde_json::from_slice(&ran.stdout)
        .map_err(|error| format!("{name}: the report is not JSON: {error}: {}", shown(&ran)))?;
    let agents = report["agents"].as_object().into_iter().flatten();
    let is_fine =
        |agent: &Value| agent["status"] == "succeeded" || agent["reason"]["kind"] == "when";
    let failed: Vec<&String> =
        agents.filter(|(_, agent)| !is_fine(agent)).map(|(name, _)| name).collect();
    if !ran.status.success() || report["status"] != "succeeded" || !failed.is_empty() {
        return Err(format!("{name}: agents that did not succeed: {failed:?}: {}", shown(&ran)));
    }
    Ok(())
}

/// Has crew check this text, the block's own or what was made of it.
fn check(block: &Block, text: &str) -> Result<(), String> {
    let folder = TempDir::new().unwrap();
    let text = with_optional_sandboxes(text);
    for path in paths_in(&text) {
        let place = folder.path().join(path);
        if place.extension().is_some() {
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            // A schema, or an empty file to include.
            let is_yaml = place.extension().is_some_and(|extension| extension == "yaml");
            fs::write(place, if is_yaml { "{}" } else { r#"{"type": "object"}"# }).unwrap();
        } else {
            fs::create_dir_all(place).unwrap();
        }
    }
    fs::write(folder.path().join("agents.yaml"), &text).unwrap();
    let mut command = crew(&folder);
    for name in variables_in(&text) {
        let is_address = name.contains("URL") || name.contains("HOST");
        let value = if is_address { "http://127.0.0.1:9" } else { "dummy" };
        if name != "HOME" {
            command.env(name, value);
        }
    }
    let output = command.current_dir(&folder).args(["check", "-c", "agents.yaml"]).output();
    let output = output.unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(block.failure(block.line, &text, &output)),
    }
}

fn run_line(block: &Block, at: usize, line: &str) -> Result<(), String> {
    let mut words = line.split(|c: char| !c.is_alphanumeric());
    let is_skipped = line.trim().is_empty()
        || line.starts_with("cargo ")
        || (words.any(|word| word == "jq") && !has_jq());
    if is_skipped {
        return Ok(());
    }
    let mut folders = vec![Path::new(CREW).parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    let home = TempDir::new().unwrap();
    let output = hermetic("bash", &home)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .current_dir(root())
        .args(["-o", "pipefail", "-c", line])
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(block.failure(at, line, &output)),
    }
}

fn has_jq() -> bool {
    Command::new("jq").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn crew(home: &TempDir) -> Command {
    hermetic(CREW, home)
}

/// A program without the settings of whoever runs the tests, and with a dummy for every API key.
fn hermetic(program: &str, home: &TempDir) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .envs(KEYS.map(|name| (name, "dummy")))
        .stdin(Stdio::null());
    command
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, text(&output.stderr), text(&output.stdout))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn documents() -> Vec<PathBuf> {
    let mut files = files_in("docs", "md");
    files.push(root().join("README.md"));
    files
}

fn files_in(folder: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let has_extension = |path: &PathBuf| path.extension().is_some_and(|found| found == extension);
    let mut files: Vec<PathBuf> = entries.filter(has_extension).collect();
    files.sort();
    files
}

fn blocks(file: &Path) -> Vec<Block> {
    let text = fs::read_to_string(file).unwrap();
    let name = file.strip_prefix(root()).unwrap().display().to_string();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, opening)) = lines.next() {
        let unindented = opening.trim_start();
        let indent = opening.len() - unindented.len();
        let info = unindented.trim_start_matches('`');
        let fence = &unindented[..unindented.len() - info.len()];
        if fence.len() < 3 {
            continue;
        }
        let mut block =
            Block { file: name.clone(), line: at + 1, info: info.trim().into(), text: "".into() };
        for (_, line) in lines.by_ref().take_while(|(_, line)| line.trim() != fence) {
            let spaces = line.len() - line.trim_start_matches(' ').len();
            block.text.push_str(&line[spaces.min(indent)..]);
            block.text.push('\n');
        }
        blocks.push(block);
    }
    blocks
}

/// The crew file that these top-level keys are a part of.
fn completed(fragment: &str) -> String {
    let has = |key: &str| fragment.lines().any(|line| line.starts_with(key));
    let names_a_model = fragment.contains("model:");
    let mut text = fragment.to_owned();
    if !has("defaults:") {
        text.push_str("defaults: {model: offline}\n");
    } else if !names_a_model {
        text = text.replacen("defaults:\n", "defaults:\n  model: offline\n", 1);
        text = text.replacen("defaults: {", "defaults: {model: offline, ", 1);
    }
    if !has("agents:") {
        text.push_str("agents: {example: {prompt: \"{{ input }}\"}}\n");
    }
    text
}

/// The same crew file for systems that cannot enforce a sandbox: there it is a fault.
fn with_optional_sandboxes(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut after_sandbox = false;
    let says_what_then = text.contains("if_unsupported:");
    for line in text.replace("if_unsupported: error", "if_unsupported: warn").lines() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if after_sandbox && !says_what_then {
            lines.push(format!("{indent}if_unsupported: warn"));
        }
        after_sandbox = line.trim_start().starts_with("sandbox:") && !line.contains('{');
        let flow = line.contains("sandbox: {") && !says_what_then;
        let line = line.replacen("sandbox: {", "sandbox: {if_unsupported: warn, ", flow.into());
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// What the text names as `./…`, and relative paths of schemas.
fn paths_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| c.is_whitespace() || "[]{},\"'".contains(c));
    let is_schema = |word: &str| {
        let extension = Path::new(word).extension().and_then(|extension| extension.to_str());
        matches!(extension, Some("json" | "yaml" | "yml")) && !word.contains(':')
    };
    let is_inside = |word: &&str| !word.starts_with('/') && !word.contains("..");
    words
        .filter(|word| word.starts_with("./") || is_schema(word))
        .filter(is_inside)
        .map(|word| word.trim_end_matches('/'))
        .collect()
}

/// The names in `${NAME}` and `api_key_env: NAME`, without those that have a default.
fn variables_in(text: &str) -> BTreeSet<&str> {
    let expanded = text.split("${").skip(1);
    let keys = text.split("api_key_env:").skip(1).map(str::trim_start);
    expanded.chain(keys).filter_map(variable).collect()
}

/// The name at the start of a text.
fn variable(text: &str) -> Option<&str> {
    let is_other = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let (name, rest) = text.split_at(text.find(is_other).unwrap_or(text.len()));
    (!name.is_empty() && !rest.starts_with(":-")).then_some(name)
}
