//! `crew test`: runs the tests of crews, one after the other.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::env_file;
use super::invalid::{fault, invalid};
use super::rehearsal::env_without_keys;
use super::runtime::runtime;
use super::sink::Sink;
use crate::cancel::Cancellation;
use crate::cli::TestArgs;
use crate::config::faults::Faults;
use crate::crewtest::{self, TestPlan};
use crate::exit::ExitStatus;
use crate::process;
use crate::render::reports::test_results;
use crate::render::{self, Format, Screens};

const SUFFIX: &str = ".crewtest.yaml";

pub fn test(args: &TestArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    process::forbid_inspection();
    let refuse = |faults: &Faults| invalid(faults, screens, Format::Text);
    if let Err(faults) = env_file::load(&args.env_files) {
        return refuse(&faults);
    }
    let cancel = Cancellation::new();
    let runtime = match runtime(&cancel) {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&fault(&error)),
    };
    // Before anything runs: a file that cannot be written would lose the results.
    let junit = match args.junit.as_deref().map(|path| Sink::open(Some(path))).transpose() {
        Ok(junit) => junit,
        Err(error) => return refuse(&Faults::unplaced(None, format!("--junit {error}"), None)),
    };
    let tests = match load(&args.files) {
        Ok(tests) => tests,
        Err(all) => {
            all.iter().for_each(|faults| _ = refuse(faults));
            return ExitStatus::Invalid;
        }
    };
    let look = screens.stdout.look(false);
    // The exit status counts, whether or not the results can be printed.
    let mut out = io::stdout().lock();
    let began = Instant::now();
    let (all, mut results) = (tests.len(), Vec::new());
    let open_files = process::raise_open_files();
    for test in tests {
        if cancel.is_cancelled() {
            break;
        }
        let result =
            runtime.block_on(crewtest::run(test, &cancel.child(), open_files, args.update));
        let _ = render::crewtest::result(&result, look, &mut out);
        results.push(result);
    }
    // Do not wait for a name lookup, which cannot be cancelled.
    runtime.shutdown_background();
    let not_run = all - results.len();
    let _ = render::crewtest::summary(&results, not_run, began.elapsed(), look, &mut out);
    let written = match junit {
        None => Ok(()),
        Some(sink) => sink.write(|out| test_results(&results, began.elapsed(), out)),
    };
    if let Err(error) = &written {
        let _ = writeln!(io::stderr(), "error: --junit: {error}");
    }
    if let Some(signal) = cancel.signal() {
        return ExitStatus::Signalled(signal);
    }
    match (results.iter().all(|result| result.has_passed()), written) {
        (false, _) => ExitStatus::Failure,
        (true, Err(_)) => ExitStatus::Unreported,
        (true, Ok(())) => ExitStatus::Success,
    }
}

/// The tests of these files and folders.
///
/// # Errors
/// The faults of all of them; then none is run.
fn load(named: &[PathBuf]) -> Result<Vec<TestPlan>, Vec<Faults>> {
    let files = find(named).map_err(|faults| vec![faults])?;
    let (mut tests, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        match TestPlan::load(&file, &env_without_keys) {
            Ok(test) => tests.push(test),
            Err(more) => faults.push(more),
        }
    }
    if faults.is_empty() { Ok(tests) } else { Err(faults) }
}

/// The files of tests: those that are named, and those below folders in their order by name.
fn find(named: &[PathBuf]) -> Result<Vec<PathBuf>, Faults> {
    let here = [PathBuf::new()];
    let mut found = Vec::new();
    for path in if named.is_empty() { &here } else { named } {
        if path.as_os_str().is_empty() || path.is_dir() {
            search(path, &mut found).map_err(|error| {
                let message = format!("cannot search {}: {error}", path.display());
                Faults::unplaced(None, message, None)
            })?;
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        let message = format!("there is no test: no file ends in {SUFFIX}");
        let hint = "name one, or write one: docs/testing.md".to_owned();
        return Err(Faults::unplaced(None, message, Some(hint)));
    }
    Ok(found)
}

/// Adds the tests in a folder and below it. Hidden folders and links are left out.
fn search(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let shown = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut entries = fs::read_dir(shown)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') {
            search(&folder.join(entry.file_name()), found)?;
        } else if kind.is_file() && name.ends_with(SUFFIX) {
            found.push(folder.join(entry.file_name()));
        }
    }
    Ok(())
}
