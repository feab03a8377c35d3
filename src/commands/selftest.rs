//! `crew selftest`, and the hidden parts that its own runs play.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::invalid::{failed, invalid};
use crate::cli::SelftestArgs;
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::render::{self, Format, Screens};
use crate::selftest::{self, Ended, SelftestStatus, keeper, zoo};

pub fn selftest(args: &SelftestArgs) -> ExitStatus {
    match (&*args.animal, &*args.keep) {
        ([animal, den], _) => as_animal(animal, Path::new(den)),
        (_, [case, folder]) => as_keeper(case, Path::new(folder)),
        _ => self_test(args),
    }
}

fn self_test(args: &SelftestArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.resolve(false);
    let cases = match selftest::choose(&args.cases) {
        Ok(cases) => cases,
        Err(unknown) => {
            let hint = Some("crew selftest -o json tells their names".to_owned());
            let message = format!("there is no case {unknown:?}");
            return invalid(&Faults::unplaced(None, message, hint), screens, format);
        }
    };
    let look = screens.stdout.look(false);
    // Rows that nobody reads are no reason to stop trying: the exit status tells as well.
    let mut stdout = io::stdout().lock();
    if format == Format::Text {
        let _ = render::selftest::header(look, &mut stdout);
    }
    let ended = selftest::run(&cases, |case| {
        if format == Format::Text {
            let _ = render::selftest::row(case, look, &mut stdout);
        }
    });
    let report = match ended {
        Ok(Ended::All(report)) => report,
        Ok(Ended::By(signal)) => return ExitStatus::Signalled(signal),
        Err(error) => {
            drop(stdout);
            return failed(&error, screens, format);
        }
    };
    let written = match format {
        Format::Json => render::json(&report, &mut stdout),
        Format::Text => render::selftest::verdict(&report, look, &mut stdout),
    };
    match (report.status, written) {
        (SelftestStatus::Failed, _) => ExitStatus::Failure,
        (SelftestStatus::Passed, Ok(())) => ExitStatus::Success,
        (SelftestStatus::Passed, Err(_)) => ExitStatus::Unreported,
    }
}

/// A tool of the self-test: started by crew, and as bad as tools get.
fn as_animal(animal: &str, den: &Path) -> ExitStatus {
    let lived = zoo::Animal::from_str(animal, false).map(|animal| zoo::live(animal, den));
    match lived {
        Ok(Ok(())) => ExitStatus::Success,
        Ok(Err(_)) => ExitStatus::Failure,
        Err(_) => ExitStatus::Invalid,
    }
}

/// One case of the self-test: started by the self-test, to which its report goes.
fn as_keeper(case: &str, folder: &Path) -> ExitStatus {
    let Some(case) = selftest::find(case) else { return ExitStatus::Invalid };
    match keeper::keep(case, folder) {
        Ok(report) => {
            let _ = render::json(&report, &mut io::stdout().lock());
            ExitStatus::Success
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitStatus::Failure
        }
    }
}
