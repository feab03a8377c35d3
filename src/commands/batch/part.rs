//! Which part of the inputs `crew batch run` runs.

use std::io::{Write, stderr};
use std::path::Path;

use crate::batch::engines::Task;
use crate::batch::part::Part;
use crate::batch::partition::{PinnedParts, choose};
use crate::batch::run_file::RunFile;
use crate::cli::BatchRunArgs;
use crate::commands::invalid::fault;
use crate::config::faults::Faults;

/// The part, and what a new `run.json` pins of it.
///
/// # Errors
/// The part is not known, or the folder is divided in another way.
pub fn part(args: &BatchRunArgs) -> Result<(Part, PinnedParts), Faults> {
    let env = |name: &str| std::env::var(name).ok();
    let run = match args.out.as_path() {
        out if out == Path::new("-") => None,
        out => RunFile::read(out).map_err(|error| fault(&error.into()))?,
    };
    let (choice, count) = (args.partition.partition, args.partition.partitions);
    let chosen = choose(choice, count, run.as_ref().map(|run| &run.parts), &env);
    if choice.is_none()
        && args.quiet == 0
        && let Some(warning) = Task::warning(&env)
    {
        let _ = writeln!(stderr(), "warning: {warning}");
    }
    chosen.map_err(|error| fault(&error.into()))
}
