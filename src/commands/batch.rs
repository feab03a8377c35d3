//! `crew batch`: one crew over many inputs.

use crate::cli::{BatchArgs, BatchCommand};
use crate::exit::ExitStatus;

mod budget;
mod drain;
mod ended;
mod estimate;
mod merge;
mod part;
mod progress;
mod recording;
mod run;
mod status;
mod work;

pub fn batch(args: &BatchArgs) -> ExitStatus {
    match &args.command {
        BatchCommand::Run(args) => run::run(args),
        BatchCommand::Status(args) => status::status(args),
        BatchCommand::Merge(args) => merge::merge(args),
    }
}
