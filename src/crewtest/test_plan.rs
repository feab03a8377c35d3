//! From a test's file to what will run.

use std::path::{Path as FilePath, PathBuf};

use serde_json::Value;

use super::expected::{self, Expected, beside};
use crate::attachment::Attached;
use crate::config::expand::Env;
use crate::config::faults::{FaultLog, Faults};
use crate::config::find;
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::config::test_file::{self, TestFile};
use crate::plan::{self, CrewPlan, Overrides};
use crate::provider::FaultRule;
use crate::recording::{RecordingFile, RecordingMode};
use crate::template::RunInput;
use crate::units;

/// Bytes of an input.
const MAX_INPUT: u64 = 16 << 20;

/// A test that is ready to run.
#[derive(Debug)]
pub struct TestPlan {
    /// The test's file.
    pub file: PathBuf,
    pub crew: CrewPlan,
    pub input: RunInput,
    /// Tools with `confirm: true` may run.
    pub approve: bool,
    pub replay: Option<RecordingFile>,
    pub faults: Vec<FaultRule>,
    pub expected: Expected,
}

impl TestPlan {
    /// Reads a test and its crew.
    ///
    /// # Errors
    /// All faults of the test's file, or else of the crew's.
    pub fn load(file: &FilePath, env: Env<'_>) -> Result<Self, Faults> {
        let text = find::read_up_to(file, find::MAX_FILE, "a test")
            .map_err(|error| error.into_faults(file))?;
        let mut log = FaultLog::default();
        let Some(config) = test_file::parse(file, text, &mut log) else {
            return Err(log.finish());
        };
        let reader = Reader { file, config: &config, log: &log };
        let (overrides, input, replay) = (reader.overrides(), reader.input(), reader.replay());
        let Some(path) = reader.crew().filter(|_| log.is_empty()) else {
            return Err(log.finish());
        };
        let crew = plan::load(Some(&path), &overrides, env)?;
        if crew.uses_input() && input.is_none() {
            let hint = "give it one; '' is an empty input".to_owned();
            log.key(&Path::Root.key("input"), "the crew uses an input", Some(hint));
        }
        let input = input.unwrap_or_default();
        let is_wanted = crew.uses_input_parts();
        let input = if is_wanted { RunInput::parsed(input.text().into()) } else { input };
        if is_wanted && !input.is_object() {
            let message = "the crew uses parts of its input, and the input is a text";
            let hint = "write a mapping as the input".to_owned();
            log.value(&Path::Root.key("input"), message, Some(hint));
        }
        let faults = reader.faults(&crew);
        let expected = expected::check(config.expect.as_ref(), file, &crew, &log);
        if !log.is_empty() {
            return Err(log.finish());
        }
        let approve = config.approve.unwrap_or(false);
        Ok(Self { file: file.to_owned(), crew, input, approve, replay, faults, expected })
    }
}

struct Reader<'a> {
    file: &'a FilePath,
    config: &'a TestFile,
    log: &'a FaultLog,
}

impl Reader<'_> {
    fn path(&self, text: &str) -> PathBuf {
        beside(self.file, text)
    }

    /// The path of the crew's file.
    fn crew(&self) -> Option<PathBuf> {
        let crew = self.config.crew.as_ref().map(|crew| self.path(crew));
        if crew.is_none() {
            let hint = "write crew: agents.yaml".to_owned();
            self.log.key(&Path::Root, "the test names no crew", Some(hint));
        }
        crew
    }

    fn overrides(&self) -> Overrides {
        let TestFile { agents, vars, offline, replay, timeout, .. } = self.config;
        let offline = offline.unwrap_or(false);
        if offline == replay.is_some() {
            let message = "a test needs either `offline: true` or `replay: FILE`".to_owned();
            let hint = "crew run --record FILE writes a recording".to_owned();
            self.log.key(&Path::Root.key("offline"), message, Some(hint));
        }
        let timeout = timeout.as_ref().and_then(|text| {
            let fault = |why| self.log.value(&Path::Root.key("timeout"), why, None);
            units::timeout(&text.0).map_err(fault).ok()
        });
        Overrides {
            agents: agents.clone().unwrap_or_default(),
            vars: Entries::of(vars.as_ref()).to_vec(),
            offline,
            replay: !offline,
            timeout,
            attached: self.attached(),
            ..Overrides::default()
        }
    }

    fn attached(&self) -> Vec<Attached> {
        let root = Path::Root.key("attach");
        let read = |(at, text): (usize, &String)| {
            let fault = |error| {
                self.log.value(&root.index(at), format!("cannot attach the file: {error}"), None);
            };
            Attached::read(&self.path(text)).map_err(fault).ok()
        };
        self.config.attach.iter().flatten().enumerate().filter_map(read).collect()
    }

    fn input(&self) -> Option<RunInput> {
        let TestFile { input, input_file, .. } = self.config;
        let path = Path::Root.key("input_file");
        let Some(file) = input_file else {
            return match input.clone()? {
                Value::String(text) => Some(text.into()),
                Value::Object(object) => Some(RunInput::object(object)),
                _ => {
                    let path = Path::Root.key("input");
                    self.log.value(&path, "expected a text in quotes, or a mapping", None);
                    None
                }
            };
        };
        if input.is_some() {
            self.log.key(&path, "a test has either `input` or `input_file`", None);
        }
        let read = find::read_up_to(&self.path(file), MAX_INPUT, "an input");
        let fault = |error: find::ReadError| {
            self.log.value(&path, error.message(), None);
        };
        read.map_err(fault).ok().map(RunInput::from)
    }

    fn replay(&self) -> Option<RecordingFile> {
        let file = self.path(self.config.replay.as_ref()?);
        let fault = |error| {
            let hint = "crew run --record FILE writes a recording".to_owned();
            let message = format!("cannot use the recording: {error}");
            self.log.value(&Path::Root.key("replay"), message, Some(hint));
        };
        RecordingFile::open(&file, RecordingMode::Replay).map_err(fault).ok()
    }

    fn faults(&self, crew: &CrewPlan) -> Vec<FaultRule> {
        let root = Path::Root.key("faults");
        let rule = |(at, text): (usize, &String)| {
            let path = root.index(at);
            let fault = |why| self.log.value(&path, why, None);
            let rule: FaultRule = text.parse().map_err(fault).ok()?;
            let fault = |(message, hint)| self.log.value(&path, message, Some(hint));
            rule.check(crew).map_err(fault).ok()?;
            Some(rule)
        };
        self.config.faults.iter().flatten().enumerate().filter_map(rule).collect()
    }
}
