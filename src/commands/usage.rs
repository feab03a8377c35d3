//! What clap has to say: help, the version, or what is wrong with the command line.

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::shared::{is_json, write_invalid};
use crate::cli::{Cli, OutputFormat};
use crate::config::faults::Faults;
use crate::exit;

/// What clap has to say: help and version, or what is wrong with the command line.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) && !error.use_stderr()
    {
        return ExitCode::from(exit::SUCCESS);
    }
    // What can be understood of the command line still says which format is wanted.
    let words = Cli::command().ignore_errors(true).try_get_matches();
    let format = words.ok().and_then(|words| {
        let known = ["run", "selftest"].map(|name| words.subcommand_matches(name));
        let run = known.into_iter().flatten().next()?;
        Some(run.get_one::<OutputFormat>("output").copied().unwrap_or_default())
    });
    if format.is_some_and(|format| is_json(format, false)) {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let hint = Some("see crew --help".to_owned());
        write_invalid(&Faults::unplaced(None, message.to_owned(), hint));
    }
    ExitCode::from(exit::INVALID)
}
