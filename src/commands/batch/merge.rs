//! `crew batch merge`: the lines of all parts in the order of the inputs.

use std::io::{self, Write};

use crate::batch::merge::{Merge, MergeError};
use crate::cli::BatchMergeArgs;
use crate::commands::invalid::failed;
use crate::exit::ExitStatus;
use crate::render::{Format, Screens, TerminalSafe};
use crate::text::inline;

pub fn merge(args: &BatchMergeArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let merge = match Merge::of(&args.folder) {
        Ok(merge) => merge,
        Err(error) => return failed(&error.into(), screens, Format::Text),
    };
    let faults = merge.faults();
    if !faults.is_empty() && !args.partial {
        let advice = "no line was printed; --partial prints those that there are";
        faults.iter().for_each(|fault| complain(fault));
        let _ = writeln!(io::stderr(), "{advice}");
        return ExitStatus::Failure;
    }
    match merge.write(&mut TerminalSafe(io::stdout().lock())) {
        Ok(()) => ExitStatus::Success,
        Err(MergeError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitStatus::Unreported
        }
        Err(error) => {
            complain(&error.to_string());
            ExitStatus::Unreported
        }
    }
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "error: {}", inline(text));
}
