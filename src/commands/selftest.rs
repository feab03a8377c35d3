//! `crew selftest`, and the hidden options with which it starts its own processes.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::ValueEnum;

use super::shared::{Screens, invalid, is_json, look};
use crate::cli::SelftestArgs;
use crate::config::faults::Faults;
use crate::selftest::{self, Fixture, Outcome, SelftestStatus};
use crate::{exit, render};

pub fn selftest(args: &SelftestArgs) -> ExitCode {
    match (&*args.fixture, &*args.supervise) {
        ([fixture, dir], _) => run_fixture(fixture, Path::new(dir)),
        (_, [case, dir]) => run_supervisor(case, Path::new(dir)),
        _ => run_cases(args),
    }
}

fn run_cases(args: &SelftestArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let json = is_json(args.output, false);
    let cases = match selftest::select(&args.cases) {
        Ok(cases) => cases,
        Err(unknown) => {
            let hint = Some("crew selftest -o json lists the names".to_owned());
            let message = format!("there is no case {unknown:?}");
            return invalid(&Faults::unplaced(None, message, hint), screens, json);
        }
    };
    let look = look(screens.stdout, false);
    // Output that cannot be written does not stop the test: its exit status still counts.
    let mut stdout = io::stdout().lock();
    if !json {
        let _ = render::selftest::header(look, &mut stdout);
    }
    let outcome = selftest::run(&cases, |case| {
        if !json {
            let _ = render::selftest::row(case, look, &mut stdout);
        }
    });
    let report = match outcome {
        Ok(Outcome::Finished(report)) => report,
        Ok(Outcome::Stopped(signal)) => {
            exit::die_by(signal);
            return ExitCode::from(exit::FAILURE);
        }
        Err(error) => {
            drop(stdout);
            return invalid(&Faults::unplaced(None, format!("{error:#}"), None), screens, json);
        }
    };
    let written = if json {
        render::json(&report, &mut stdout)
    } else {
        render::selftest::verdict(&report, look, &mut stdout)
    };
    ExitCode::from(match (report.status, written) {
        (SelftestStatus::Failed, _) => exit::FAILURE,
        (SelftestStatus::Passed, Ok(())) => exit::SUCCESS,
        (SelftestStatus::Passed, Err(_)) => exit::UNREPORTED,
    })
}

/// Runs a misbehaving tool; crew starts it in a case.
fn run_fixture(name: &str, dir: &Path) -> ExitCode {
    let Ok(fixture) = Fixture::from_str(name, false) else {
        return ExitCode::from(exit::INVALID);
    };
    match selftest::misbehave(fixture, dir) {
        Ok(()) => ExitCode::from(exit::SUCCESS),
        Err(_) => ExitCode::from(exit::FAILURE),
    }
}

/// Runs one case and writes its report to stdout, for the self-test that started this process.
fn run_supervisor(case: &str, dir: &Path) -> ExitCode {
    let Some(case) = selftest::find(case) else { return ExitCode::from(exit::INVALID) };
    match selftest::supervise(case, dir) {
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
