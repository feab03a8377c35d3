//! `--record`, `--replay` and `--fault`: what a run has in place of servers.

use std::path::Path;

use crate::cli::RehearsalArgs;
use crate::config::expand::Env;
use crate::config::faults::Faults;
use crate::plan::CrewPlan;
use crate::recording::{OpenError, Recording, RecordingFile, RecordingMode};
use crate::secret;
use crate::services::Rehearsal;

/// Opens the recording that the arguments name, and checks the faults.
///
/// # Errors
/// The recording cannot be used, or a fault is about no agent.
pub fn rehearsal(args: &RehearsalArgs, plan: &CrewPlan) -> Result<Rehearsal, Faults> {
    let RehearsalArgs { record, replay, replay_or_record, faults } = args;
    for rule in faults {
        rule.check(plan).map_err(|(message, hint)| {
            Faults::unplaced(None, format!("--fault: {message}"), Some(hint))
        })?;
    }
    let modes = [
        (record, RecordingMode::Record),
        (replay, RecordingMode::Replay),
        (replay_or_record, RecordingMode::ReplayOrRecord),
    ];
    let named = modes.into_iter().find_map(|(path, mode)| Some((path.as_deref()?, mode)));
    let recording = named.map(|(path, mode)| open(path, mode)).transpose()?;
    Ok(Rehearsal { recording, faults: faults.clone() })
}

/// Opens a recording.
///
/// # Errors
/// It cannot be used.
pub fn open(path: &Path, mode: RecordingMode) -> Result<RecordingFile, Faults> {
    RecordingFile::open(path, mode).map_err(|error| unusable(path, &error))
}

/// Begins to record.
///
/// # Errors
/// The file cannot be written.
pub fn begin(recording: &Recording) -> Result<(), Faults> {
    recording.begin().map_err(|error| unusable(recording.path(), &error.into()))
}

fn unusable(path: &Path, error: &OpenError) -> Faults {
    let message = format!("cannot use the recording {}: {error}", path.display());
    let hint = "crew run --record FILE writes one".to_owned();
    Faults::unplaced(None, message, Some(hint))
}

/// The environment of a run.
pub fn env_of(is_replay: bool) -> Env<'static> {
    match is_replay {
        true => &env_without_keys,
        false => &|name| std::env::var(name).ok(),
    }
}

/// The environment of a replay or of a rendering: nothing is sent, so variables for secrets need
/// not be set.
pub fn env_without_keys(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if !secret::names_a_secret(name) {
        return value;
    }
    value.filter(|value| !value.is_empty()).or_else(|| Some(format!("({name} is not set)")))
}
