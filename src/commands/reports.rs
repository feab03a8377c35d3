//! The reports of `--report`, beside the one of `-o`, and `crew report`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::future::join_all;

use super::delivery::{self, DeliveryError};
use super::github::StepFiles;
use super::invalid::{failed, invalid};
use super::report_file;
use super::runtime::runtime;
use super::sink::{self, Sink};
use crate::cancel::Cancellation;
use crate::cli::{ReportArgs, ReportTarget};
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::render::reports::ReportKind;
use crate::render::{Format, Screens};
use crate::report::Report;
use crate::text::quoted;

/// The reports to write, their files opened.
#[derive(Default)]
pub struct Reports {
    files: Vec<(ReportKind, Sink)>,
    github: Option<StepFiles>,
}

/// What became of the reports.
#[derive(Default)]
pub struct Written {
    pub failed: Vec<DeliveryError>,
    /// Workflow commands for the log of a step.
    pub annotations: Vec<u8>,
}

impl Reports {
    /// Finds everything that can be wrong with the files before anything runs.
    pub fn open(targets: &[ReportTarget]) -> Result<Self, Faults> {
        let mut reports = Self::default();
        for ReportTarget { kind, path } in targets {
            let Some(path) = path else {
                reports.github = Some(StepFiles::open()?);
                continue;
            };
            let sink = Sink::open(Some(path))
                .map_err(|error| Faults::unplaced(None, format!("--report: {error}"), None))?;
            reports.files.push((*kind, sink));
        }
        Ok(reports)
    }

    /// Writes all of them at the same time, also after a signal. One that fails stops no other.
    pub async fn write(self, report: &Arc<Report>, cancel: &Cancellation) -> Written {
        let mut annotations = Vec::new();
        if self.github.is_some() {
            // Writing to memory does not fail.
            let _ = ReportKind::Github.write(report, &mut annotations);
        }
        let files = self.files.into_iter().map(|(kind, sink)| {
            delivery::deliver(report, sink, move |report, out| kind.write(report, out), cancel)
        });
        let github = async {
            match self.github {
                Some(files) => files.write(report, cancel).await,
                None => Vec::new(),
            }
        };
        let (files, github) = tokio::join!(join_all(files), github);
        let mut failed: Vec<DeliveryError> = files.into_iter().filter_map(Result::err).collect();
        failed.extend(github);
        Written { failed, annotations }
    }
}

/// Finds files that would replace each other or one that is read, however they are written.
///
/// # Errors
/// An option in `written` names a file of `read`, or that of another option.
pub fn check_distinct<'a>(
    read: impl IntoIterator<Item = (&'static str, Option<&'a Path>)>,
    written: impl IntoIterator<Item = (&'static str, &'a Path)>,
) -> Result<(), Faults> {
    let read = read.into_iter();
    let mut taken: Vec<_> =
        read.map(|(name, path)| (name.to_owned(), path.and_then(sink::replaced))).collect();
    for (option, path) in written {
        let Some(file) = sink::replaced(path) else { continue };
        if let Some((other, _)) = taken.iter().find(|(_, taken)| taken.as_ref() == Some(&file)) {
            let path = quoted(&path.to_string_lossy());
            let message = format!("{option} {path}: {other} is the same");
            return Err(Faults::unplaced(None, message, Some("name another file".to_owned())));
        }
        taken.push((format!("the file of {option}"), Some(file)));
    }
    Ok(())
}

/// `crew report`.
pub fn report(args: &ReportArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let report = match report_file::saved(&args.report) {
        Ok(report) => Arc::new(report),
        Err(faults) => return invalid(&faults, screens, Format::Text),
    };
    if args.kind == ReportKind::Github {
        match StepFiles::open() {
            Ok(files) => return in_step(files, &report, screens),
            Err(faults) => return invalid(&faults, screens, Format::Text),
        }
    }
    ExitStatus::of_print(args.kind.write(&report, &mut io::stdout().lock()))
}

fn in_step(files: StepFiles, report: &Arc<Report>, screens: Screens) -> ExitStatus {
    let cancel = Cancellation::new();
    let runtime = match runtime(&cancel) {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, screens, Format::Text),
    };
    if let Some(error) = runtime.block_on(files.write(report, &cancel)).into_iter().next() {
        failed(&error.into(), screens, Format::Text);
        return ExitStatus::Unreported;
    }
    ExitStatus::of_print(ReportKind::Github.write(report, &mut io::stdout().lock()))
}
