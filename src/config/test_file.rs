//! The structs of a test file, `*.crewtest.yaml`: values as written, without checks.

use std::path::Path as FilePath;

use serde::Deserialize;
use serde_json::Value;

use super::decode::Decoder;
use super::faults::FaultLog;
use super::file::DurationText;
use super::flow::ConditionText;
use super::forms::Entries;
use super::node::Node;
use super::place::Path;
use super::yaml;

#[derive(Debug, Default, Deserialize)]
pub struct TestFile {
    pub description: Option<String>,
    /// The path of the crew's file. All paths are relative to the test's file.
    pub crew: Option<String>,
    /// A text, or a mapping for crews that use its parts.
    pub input: Option<Value>,
    pub input_file: Option<String>,
    pub attach: Option<Vec<String>>,
    pub agents: Option<Vec<String>>,
    pub vars: Option<Entries<String>>,
    pub timeout: Option<DurationText>,
    /// Tools with `confirm: true` may run.
    pub approve: Option<bool>,
    pub replay: Option<String>,
    pub offline: Option<bool>,
    pub faults: Option<Vec<String>>,
    pub expect: Option<ExpectConfig>,
}

#[derive(Debug, Default, Deserialize)]
pub struct ExpectConfig {
    pub status: Option<StatusConfig>,
    pub exit_code: Option<u64>,
    /// Expressions over the report.
    pub assert: Option<Vec<ConditionText>>,
    pub snapshot: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusConfig {
    #[default]
    Succeeded,
    Failed,
    TimedOut,
    Cancelled,
}

/// Decodes a test's file. Its faults are logged; `None` if it cannot be used at all.
pub fn parse(file: &FilePath, text: String, log: &mut FaultLog) -> Option<TestFile> {
    let id = log.sources.add(file.to_owned(), text);
    let (mark, mut node) = yaml::read(id, log).ok()?;
    log.sources.replace_root(mark);
    node.merge(&Path::Root, log);
    if node == Node::Null {
        let hint = "a test needs at least `crew:` and `offline: true` or `replay:`".to_owned();
        log.unplaced("the file is empty", Some(hint));
        return None;
    }
    TestFile::deserialize(Decoder::new(&node, &Path::Root, log)).ok()
}
