//! From a file to its plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::build::Builder;
use super::crew_plan::{CrewPlan, OnFailure};
use super::endpoint;
use crate::config::expand::Env;
use crate::config::faults::{FaultLog, Faults};
use crate::config::{find, parse};

/// Options of the command line that override the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The agents to run, with those they need. If empty, all agents.
    pub agents: Vec<String>,
    pub vars: Vec<(String, String)>,
    /// The model of every agent.
    pub model: Option<String>,
    /// Every agent uses the model `offline`.
    pub offline: bool,
    pub timeout: Option<Duration>,
    pub max_parallel: Option<usize>,
    pub on_failure: Option<OnFailure>,
}

/// Finds the crew's file, unless it is named, and turns it into a plan.
///
/// # Errors
/// All faults of the file.
pub fn load(file: Option<&Path>, overrides: &Overrides, env: Env<'_>) -> Result<CrewPlan, Faults> {
    let file = find::find(file, env)?;
    let source = find::read(&file)?;
    read(file, source, overrides, env)
}

/// Like [`load`], with the text of the file.
pub(crate) fn read(
    file: PathBuf,
    source: String,
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<CrewPlan, Faults> {
    let mut log = FaultLog::default();
    let parsed = parse::parse(&source, env, &endpoint::KEY_VARIABLES, &mut log);
    let plan = parsed.map(|parsed| {
        let builder = Builder { crew: &parsed.crew, keys: &parsed.keys, overrides, env, log: &log };
        builder.plan(&file)
    });
    match plan {
        Ok(plan) if log.is_empty() => Ok(plan),
        _ => Err(log.finish(Some(file), source)),
    }
}
