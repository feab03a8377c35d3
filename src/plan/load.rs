//! From a file to its plan.

use std::path::{Path, PathBuf};

use super::build::Builder;
use super::crew_plan::CrewPlan;
use super::overrides::Overrides;
use crate::config::expand::Env;
use crate::config::faults::{FaultLog, Faults};
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
    let parsed = parse::parse(&file, text, env, &vendor::key_variables(), &mut log);
    let plan = parsed.map(|parsed| {
        let builder = Builder { crew: &parsed.crew, keys: &parsed.keys, overrides, env, log: &log };
        builder.plan(&file)
    });
    match plan {
        Ok(plan) if log.is_empty() => Ok(plan),
        _ => Err(log.finish()),
    }
}
