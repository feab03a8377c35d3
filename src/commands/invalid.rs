//! Input that cannot be run: reported to people on stderr and, in a format for programs, on stdout.

use std::io::{self, Write};

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};

use super::usage_tips;
use crate::cli::{Cli, FormatChoice, ReportFormat, TextOrJson};
use crate::config::faults::{Faults, InvalidReport};
use crate::exit::ExitStatus;
use crate::render::{self, Format, Screens};

/// Reports the faults of a crew file or of the environment of a run.
pub fn invalid(faults: &Faults, screens: Screens, format: Format) -> ExitStatus {
    let _ = render::faults(faults, screens.stderr.look(false), &mut io::stderr().lock());
    unsaid(faults, format)
}

/// Reports faults to programs only.
pub fn unsaid(faults: &Faults, format: Format) -> ExitStatus {
    write(faults, format);
    ExitStatus::Invalid
}

/// Reports an error that has no place in the file.
pub fn failed(error: &anyhow::Error, screens: Screens, format: Format) -> ExitStatus {
    invalid(&fault(error), screens, format)
}

pub fn fault(error: &anyhow::Error) -> Faults {
    Faults::unplaced(None, format!("{error:#}"), None)
}

/// Prints help or the version, or reports a command line that clap rejects.
pub fn usage(mut error: clap::Error) -> ExitStatus {
    if let Some(tip) = usage_tips::tip(&error) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    let _ = error.print();
    if !error.use_stderr() {
        return ExitStatus::Success;
    }
    if let Some(format) = requested_format() {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let mut more = text.lines().skip(1).map(str::trim);
        let advice =
            more.find(|line| line.starts_with("[possible values") || line.starts_with("tip:"));
        let hint = Some(advice.unwrap_or("see crew --help").to_owned());
        write(&Faults::unplaced(None, message.to_owned(), hint), format);
    }
    ExitStatus::Invalid
}

/// The format that a faulty command line asks for, as far as clap can read it.
fn requested_format() -> Option<Format> {
    let matches = Cli::command().ignore_errors(true).try_get_matches().ok()?;
    let (name, subcommand) = matches.subcommand()?;
    // An option that clap has not reached has any type, so the name of the command decides.
    match name {
        "check" | "render" | "runs" => {
            let choice = subcommand.try_get_one::<TextOrJson>("output").ok()?;
            choice.filter(|choice| **choice == TextOrJson::Json).map(|_| Format::Json)
        }
        "run" | "rerun" => {
            let choice = subcommand.try_get_one::<ReportFormat>("output").ok()?;
            Some(choice.copied().unwrap_or_default().resolve(false))
        }
        "batch" | "completions" | "init" | "man" | "report" | "schema" | "test" => None,
        _ => {
            let choice = subcommand.try_get_one::<FormatChoice>("output").ok()?;
            Some(choice.copied().unwrap_or_default().resolve(false))
        }
    }
}

fn write(faults: &Faults, format: Format) {
    let mut stdout = io::stdout().lock();
    let report = InvalidReport::from(faults);
    let _ = format.write_invalid(&report, &mut stdout).and_then(|()| stdout.flush());
}
