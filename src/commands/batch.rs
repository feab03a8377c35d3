//! `crew batch`: one crew over many inputs.

use crate::cli::{BatchArgs, BatchCommand};
use crate::exit::ExitStatus;

mod merge;
mod part;
mod run;
mod status;

pub fn batch(args: &BatchArgs) -> ExitStatus {
    match &args.command {
        BatchCommand::Run(args) => run::run(args),
        BatchCommand::Status(args) => status::status(args),
        BatchCommand::Merge(args) => merge::merge(args),
    }
}
