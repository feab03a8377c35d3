//! `crew runs`: the reports of the history.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::history::History;
use super::invalid::invalid;
use super::report_file;
use crate::cli::{RunsArgs, RunsCommand, ShowArgs};
use crate::exit::ExitStatus;
use crate::render::table::{Column, Narrow, table};
use crate::render::{self, Format, Look, Screens, words};
use crate::report::{RunStatus, SCHEMA_VERSION, Usage};
use crate::text::inline;

const COLUMNS: [Column; 7] = [
    Column::text("run", Narrow::Never),
    Column::text("crew", Narrow::Cut(8)),
    Column::text("status", Narrow::Never),
    Column::text("started", Narrow::LeaveOut(2)),
    Column::number("time", Narrow::Never),
    Column::text("tokens", Narrow::LeaveOut(1)),
    Column::text("cost", Narrow::LeaveOut(3)),
];

/// The part of a report that a list shows.
#[derive(Serialize, Deserialize)]
struct ListedRun {
    run_id: String,
    crew: String,
    status: RunStatus,
    exit_code: u8,
    started_at: String,
    duration_ms: u64,
    usage: Usage,
    #[serde(skip_deserializing)]
    file: PathBuf,
}

#[derive(Serialize)]
struct List {
    schema_version: u32,
    /// The newest one first.
    runs: Vec<ListedRun>,
}

pub fn runs(args: &RunsArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    if let Some(RunsCommand::Show(args)) = &args.command {
        return show(args, screens);
    }
    let files = History::of_user().map(|history| history.files()).unwrap_or_default();
    let runs: Vec<ListedRun> = files.into_iter().filter_map(listed).collect();
    let mut out = io::stdout().lock();
    let printed = match Format::from(args.output) {
        Format::Json => render::json(&List { schema_version: SCHEMA_VERSION, runs }, &mut out),
        _ => list(&runs, screens.stdout.look(false), &mut out),
    };
    ExitStatus::of_print(printed)
}

/// A run whose report can be read.
fn listed(file: PathBuf) -> Option<ListedRun> {
    let report = BufReader::new(File::open(&file).ok()?);
    let listed: ListedRun = serde_json::from_reader(report).ok()?;
    Some(ListedRun { file, ..listed })
}

fn list(runs: &[ListedRun], look: Look, out: &mut impl Write) -> io::Result<()> {
    let cell = |row: usize, column: usize| -> Cow<'_, str> {
        let run = &runs[row];
        match column {
            0 => inline(&run.run_id),
            1 => inline(&run.crew),
            2 => words::status(run.status).into(),
            3 => started(&run.started_at),
            4 => words::millis(run.duration_ms).into(),
            5 => words::tokens(&run.usage).unwrap_or_default().into(),
            _ => words::cost(run.usage.cost).unwrap_or_default().into(),
        }
    };
    for line in table(&COLUMNS, runs.len(), cell, look.width) {
        writeln!(out, "{line}")?;
    }
    out.flush()
}

/// `2026-11-26 07:00Z` of an RFC 3339 time.
fn started(time: &str) -> Cow<'_, str> {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => inline(&format!("{day} {minute}Z")).into_owned().into(),
        _ => inline(time),
    }
}

fn show(args: &ShowArgs, screens: Screens) -> ExitStatus {
    let format = args.output.resolve(false);
    let printed = match report_file::find(&args.id) {
        Err(faults) => return invalid(&faults, screens, Format::Text),
        Ok(file) if format == Format::Json => copy(&file),
        Ok(file) => match report_file::read(&file) {
            Err(faults) => return invalid(&faults, screens, Format::Text),
            Ok(report) => {
                let screen = screens.stdout;
                let look = Look { markdown: screen.terminal, ..screen.look(args.verbose) };
                format.write(&report, look, &mut io::stdout().lock())
            }
        },
    };
    ExitStatus::of_print(printed)
}

/// Prints the report as it is: one of a newer crew may have more fields.
fn copy(file: &Path) -> io::Result<()> {
    let mut out = io::stdout().lock();
    io::copy(&mut File::open(file)?, &mut out)?;
    out.flush()
}
