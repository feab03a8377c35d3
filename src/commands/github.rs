//! The files that GitHub Actions gives a step: its summary and its outputs.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use uuid::Uuid;

use super::delivery::{self, DeliveryError};
use super::sink::{OpenError, Sink};
use crate::cancel::Cancellation;
use crate::config::faults::Faults;
use crate::render::reports::github;
use crate::report::Report;

const SUMMARY: &str = "GITHUB_STEP_SUMMARY";
const OUTPUT: &str = "GITHUB_OUTPUT";

/// The files of this step, opened.
pub struct StepFiles {
    summary: Option<Sink>,
    /// Bytes that the summary already has.
    used: u64,
    output: Option<Sink>,
}

impl StepFiles {
    /// # Errors
    /// This is not a step of GitHub Actions, or a file of it cannot be written.
    pub fn open() -> Result<Self, Faults> {
        let (summary, output) = (path(SUMMARY), path(OUTPUT));
        if summary.is_none() && output.is_none() {
            let message = format!("--report github: neither {SUMMARY} nor {OUTPUT} is set");
            let hint = "it is for a step of GitHub Actions; elsewhere use --report markdown=PATH";
            return Err(Faults::unplaced(None, message, Some(hint.to_owned())));
        }
        let used = summary.as_ref().and_then(|path| fs::metadata(path).ok());
        let open = |path: PathBuf| Sink::append(&path);
        let fault =
            |error: OpenError| Faults::unplaced(None, format!("--report github: {error}"), None);
        Ok(Self {
            summary: summary.map(open).transpose().map_err(fault)?,
            used: used.map_or(0, |found| found.len()),
            output: output.map(open).transpose().map_err(fault)?,
        })
    }

    /// Appends summary and outputs. Returns what could not be written.
    pub async fn write(self, report: &Arc<Report>, cancel: &Cancellation) -> Vec<DeliveryError> {
        let used = self.used;
        let mut failed = Vec::new();
        if let Some(sink) = self.summary {
            let write = move |report: &Report, out: &mut dyn std::io::Write| {
                out.write_all(github::summary(report, used).as_bytes())
            };
            failed.extend(delivery::deliver(report, sink, write, cancel).await.err());
        }
        if let Some(sink) = self.output {
            // Random, so that no answer can end its own value and begin another one.
            let delimiter = format!("crew-{}", Uuid::now_v7().simple());
            let write = move |report: &Report, out: &mut dyn std::io::Write| {
                out.write_all(github::outputs(report, &delimiter).as_bytes())
            };
            failed.extend(delivery::deliver(report, sink, write, cancel).await.err());
        }
        failed
    }
}

fn path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|path: &OsString| !path.is_empty()).map(PathBuf::from)
}
