//! `crew batch`: one crew over many inputs.

use crate::cli::{BatchArgs, BatchCommand};
use crate::exit::ExitStatus;

mod run;

pub fn batch(args: &BatchArgs) -> ExitStatus {
    match &args.command {
        BatchCommand::Run(args) => run::run(args),
    }
}
