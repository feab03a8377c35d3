//! `crew batch run --record`, `--replay` and `--replay-or-record`: one recording for all inputs.

use std::path::Path;

use crate::batch::part::Part;
use crate::cli::{BatchRunArgs, RehearsalArgs};
use crate::commands::reports::check_distinct;
use crate::config::faults::Faults;
use crate::plan::CrewPlan;

/// Checks that the file of a recording holds, and goes on to hold, what the batch has exchanged.
///
/// # Errors
/// The file is another one of the batch, several processes would write it, or results of an earlier
/// run would be missing in it.
pub fn check(args: &BatchRunArgs, plan: &CrewPlan, part: Part) -> Result<(), Faults> {
    let RehearsalArgs { record, replay, replay_or_record, .. } = &args.rehearsal;
    let results = (args.out != Path::new("-")).then(|| part.results(&args.out));
    let read = [
        ("the crew's file", Some(&*plan.file)),
        ("the file of the inputs", Some(&*args.inputs)),
        ("the file of --replay", replay.as_deref()),
        ("the file of the results", results.as_deref()),
    ];
    let written = [("--record", record), ("--replay-or-record", replay_or_record)];
    let written = written.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    check_distinct(read, written.clone())?;
    if let Some((option, _)) = written.clone().next().filter(|_| part.of > 1) {
        let message = format!("{option}: a recording is written by one process, not by each part");
        let hint = Some("record without --partition; --replay works with it".to_owned());
        return Err(Faults::unplaced(None, message, hint));
    }
    let has_results = results.and_then(|results| results.metadata().ok());
    if record.is_some() && has_results.is_some_and(|results| results.len() > 0) {
        let message = "--record: the folder has results, whose exchanges would be missing";
        let hint = "give a new folder, or add to a recording with --replay-or-record";
        return Err(Faults::unplaced(None, message.to_owned(), Some(hint.to_owned())));
    }
    Ok(())
}
