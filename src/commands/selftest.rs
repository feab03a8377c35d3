//! `crew selftest`, and the hidden parts that its own runs play.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use super::shared::{Screens, invalid, is_json, look};
use crate::cli::SelftestArgs;
use crate::config::faults::Faults;
use crate::selftest::{self, Ended, SelftestStatus, keeper, zoo};
use crate::{exit, render};

pub fn selftest(args: &SelftestArgs) -> ExitCode {
    match (&*args.animal, &*args.keep) {
        ([animal, den], _) => as_animal(animal, Path::new(den)),
        (_, [case, folder]) => as_keeper(case, Path::new(folder)),
        _ => self_test(args),
    }
}

fn self_test(args: &SelftestArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let json = is_json(args.output, false);
    let cases = match selftest::choose(&args.cases) {
        Ok(cases) => cases,
        Err(unknown) => {
            let hint = Some("crew selftest -o json tells their names".to_owned());
            let message = format!("there is no case {unknown:?}");
            return invalid(&Faults::unplaced(None, message, hint), screens, json);
        }
    };
    let look = look(screens.stdout, false);
    // Rows that nobody reads are no reason to stop trying: the exit status tells as well.
    let mut stdout = io::stdout().lock();
    if !json {
        let _ = render::selftest::header(look, &mut stdout);
    }
    let ended = selftest::run(&cases, |case| {
        if !json {
            let _ = render::selftest::row(case, look, &mut stdout);
        }
    });
    let report = match ended {
        Ok(Ended::All(report)) => report,
        Ok(Ended::By(signal)) => {
            exit::die_by(signal);
            return ExitCode::from(exit::FAILURE);
        }
        Err(error) => {
            drop(stdout);
            return invalid(&Faults::unplaced(None, format!("{error:#}"), None), screens, json);
        }
    };
    let written = match json {
        true => render::json(&report, &mut stdout),
        false => render::selftest::verdict(&report, look, &mut stdout),
    };
    ExitCode::from(match (report.status, written) {
        (SelftestStatus::Failed, _) => exit::FAILURE,
        (SelftestStatus::Passed, Ok(())) => exit::SUCCESS,
        (SelftestStatus::Passed, Err(_)) => exit::UNREPORTED,
    })
}

/// A tool of the self-test: started by crew, and as bad as tools get.
fn as_animal(animal: &str, den: &Path) -> ExitCode {
    let lived = zoo::Animal::from_str(animal, false).map(|animal| zoo::live(animal, den));
    match lived {
        Ok(Ok(())) => ExitCode::from(exit::SUCCESS),
        Ok(Err(_)) => ExitCode::from(exit::FAILURE),
        Err(_) => ExitCode::from(exit::INVALID),
    }
}

/// One case of the self-test: started by the self-test, to which its report goes.
fn as_keeper(case: &str, folder: &Path) -> ExitCode {
    let Some(case) = selftest::find(case) else { return ExitCode::from(exit::INVALID) };
    match keeper::keep(case, folder) {
        Ok(report) => {
            let _ = render::json(&report, &mut io::stdout().lock());
            ExitCode::from(exit::SUCCESS)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}
