//! `crew selftest`, and the hidden options with which it starts its own processes.

use std::io::{self, Write};
use std::path::Path;

use clap::ValueEnum;

use super::invalid::{failed, invalid};
use crate::cli::SelftestArgs;
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::render::{self, Format, Screens};
use crate::selftest::{self, Fixture, Outcome, SelftestStatus};

pub fn selftest(args: &SelftestArgs) -> ExitStatus {
    match (&*args.fixture, &*args.supervise) {
        ([fixture, dir], _) => run_fixture(fixture, Path::new(dir)),
        (_, [case, dir]) => run_supervisor(case, Path::new(dir)),
        _ => run_cases(args),
    }
}

fn run_cases(args: &SelftestArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.resolve(false);
    let cases = match selftest::select(&args.cases) {
        Ok(cases) => cases,
        Err(unknown) => {
            let hint = Some("crew selftest -o json lists the names".to_owned());
            let message = format!("there is no case {unknown:?}");
            return invalid(&Faults::unplaced(None, message, hint), screens, format);
        }
    };
    let look = screens.stdout.look(false);
    // Output that cannot be written does not stop the test: its exit status still counts.
    let mut stdout = io::stdout().lock();
    if format == Format::Text {
        let _ = render::selftest::header(look, &mut stdout);
    }
    let outcome = selftest::run(&cases, |case| {
        if format == Format::Text {
            let _ = render::selftest::row(case, look, &mut stdout);
        }
    });
    let report = match outcome {
        Ok(Outcome::Finished(report)) => report,
        Ok(Outcome::Stopped(signal)) => return ExitStatus::Signalled(signal),
        Err(error) => {
            drop(stdout);
            return failed(&error, screens, format);
        }
    };
    let written = match format {
        Format::Json => render::json(&report, &mut stdout),
        Format::Text | Format::Answer | Format::Jsonl => {
            render::selftest::verdict(&report, look, &mut stdout)
        }
    };
    match (report.status, written) {
        (SelftestStatus::Failed, _) => ExitStatus::Failure,
        (SelftestStatus::Passed, Ok(())) => ExitStatus::Success,
        (SelftestStatus::Passed, Err(_)) => ExitStatus::Unreported,
    }
}

/// Runs a misbehaving tool; crew starts it in a case.
fn run_fixture(name: &str, dir: &Path) -> ExitStatus {
    let Ok(fixture) = Fixture::from_str(name, false) else { return ExitStatus::Invalid };
    match selftest::misbehave(fixture, dir) {
        Ok(()) => ExitStatus::Success,
        Err(_) => ExitStatus::Failure,
    }
}

/// Runs one case and writes its report to stdout, for the self-test that started this process.
fn run_supervisor(case: &str, dir: &Path) -> ExitStatus {
    let Some(case) = selftest::find(case) else { return ExitStatus::Invalid };
    match selftest::supervise(case, dir) {
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
