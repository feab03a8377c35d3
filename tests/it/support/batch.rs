//! A folder with a crew's file, inputs, and the results of `crew batch run`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::crew::{Crew, Ended};

pub struct Batch {
    folder: TempDir,
}

impl Batch {
    /// With this `agents.yaml` and this `in.jsonl`.
    pub fn new(yaml: impl AsRef<[u8]>, inputs: impl AsRef<[u8]>) -> Self {
        let batch = Self { folder: tempfile::tempdir().unwrap() };
        batch.write("agents.yaml", yaml);
        batch.write("in.jsonl", inputs);
        batch
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// `crew batch run in.jsonl --out out`, with these arguments.
    pub fn crew(&self, args: &[&str]) -> Crew {
        self.command("in.jsonl", args).args(&["--out", "out"])
    }

    /// `crew batch run` of these inputs.
    pub fn command(&self, inputs: &str, args: &[&str]) -> Crew {
        Crew::at(self.folder.path()).args(&["batch", "run", inputs]).args(args)
    }

    /// Runs [`Self::crew`] to its end.
    pub fn run(&self, args: &[&str]) -> Ended {
        self.crew(args).run_as_is()
    }

    /// The results, in the order of the file.
    pub fn lines(&self) -> Vec<Value> {
        parsed(&self.read("out/results.jsonl"))
    }

    /// The keys of the results with this status, in order.
    pub fn keys(&self, status: &str) -> Vec<String> {
        let lines = self.lines().into_iter().filter(|line| line["status"] == status);
        let mut keys: Vec<String> =
            lines.map(|line| line["key"].as_str().unwrap().to_owned()).collect();
        keys.sort();
        keys
    }

    /// The result of an input.
    pub fn line(&self, key: &str) -> Value {
        let lines = self.lines();
        let mut found = lines.iter().filter(|line| line["key"] == key);
        let line = found.next().unwrap_or_else(|| panic!("no line of {key} in {lines:#?}"));
        assert!(found.next().is_none(), "two lines of {key}: {lines:#?}");
        line.clone()
    }
}

pub fn parsed(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
