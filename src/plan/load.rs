//! From a file to its plan.

use std::path::{Path, PathBuf};

use super::build::Builder;
use super::crew_plan::CrewPlan;
use super::lint;
use super::overrides::Overrides;
use crate::config::expand::Env;
use crate::config::faults::{FaultLog, Faults};
use crate::config::file::CrewFile;
use crate::config::{find, parse};
use crate::vendor;

/// Finds the crew's file, unless it is named, and turns it into a plan.
///
/// # Errors
/// All faults of the file.
pub fn load(file: Option<&Path>, overrides: &Overrides, env: Env<'_>) -> Result<CrewPlan, Faults> {
    let file = find::find(file, env)?;
    let text = find::read(&file).map_err(|error| error.into_faults(&file))?;
    read(file, text, overrides, env)
}

/// Like [`load`], with the text of the file.
pub(crate) fn read(
    file: PathBuf,
    text: String,
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<CrewPlan, Faults> {
    let mut log = FaultLog::default();
    match build(&file, text, overrides, env, &mut log) {
        Some((plan, _)) => Ok(plan),
        None => Err(log.finish()),
    }
}

/// A file with its faults and warnings.
#[derive(Debug)]
pub struct Checked {
    /// `None` for a file with faults.
    pub plan: Option<CrewPlan>,
    pub faults: Faults,
}

/// Checks a file, also for what is no fault. Warnings are found only in a file without faults.
///
/// # Errors
/// The file cannot be read.
pub fn check(file: &Path, overrides: &Overrides, env: Env<'_>) -> Result<Checked, Faults> {
    let text = find::read(file).map_err(|error| error.into_faults(file))?;
    let mut log = FaultLog::default();
    let plan = build(file, text, overrides, env, &mut log).map(|(plan, crew)| {
        lint::warn(&crew, env, &log);
        plan
    });
    let mut faults = log.finish();
    if plan.is_none() {
        faults.warnings.clear();
    }
    Ok(Checked { plan, faults })
}

/// The plan of a file without faults, and the file.
fn build(
    file: &Path,
    text: String,
    overrides: &Overrides,
    env: Env<'_>,
    log: &mut FaultLog,
) -> Option<(CrewPlan, CrewFile)> {
    let parsed = parse::parse(file, text, env, &vendor::key_variables(), log).ok()?;
    let builder = Builder { crew: &parsed.crew, keys: &parsed.keys, overrides, env, log };
    let plan = builder.plan(file);
    log.is_empty().then_some((plan, parsed.crew))
}
