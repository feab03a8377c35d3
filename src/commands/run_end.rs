//! The end of a run: its report, its summary and its exit status.

use std::io::Write;
use std::sync::Arc;

use anyhow::Context;

use super::delivery;
use super::event_log::EventLog;
use super::history::History;
use super::invalid::fault;
use super::messages::Messages;
use super::reports::Reports;
use super::sink::Sink;
use crate::cancel::Cancellation;
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::plan::CrewPlan;
use crate::render::progress::Progress;
use crate::render::{Format, Look, Screens};
use crate::report::Report;
use crate::telemetry::Trace;
use crate::text;

/// Where the result goes, and how it is shown.
pub struct Output {
    pub sink: Sink,
    /// Those of `--report`.
    pub reports: Reports,
    pub history: Option<History>,
    pub format: Format,
    pub screens: Screens,
    pub verbose: bool,
    /// Answers are not formatted.
    pub raw: bool,
    /// Only the answer of the crew.
    pub brief: bool,
    pub messages: Messages,
    /// Events have the messages of agents and models.
    pub has_conversations: bool,
}

impl Output {
    /// Starts the log of events.
    pub fn log(&self, plan: &CrewPlan) -> Result<EventLog, Faults> {
        let log = self
            .sink
            .duplicate()
            .and_then(|out| EventLog::start(plan, self.has_conversations, out));
        log.context("cannot write events").map_err(|error| fault(&error))
    }
}

/// A run that has ended.
pub struct Ended {
    pub report: Report,
    /// Why its recording is not whole.
    pub unrecorded: Option<String>,
    pub progress: Progress,
    pub output: Output,
    /// With `-o jsonl`.
    pub log: Option<EventLog>,
    pub trace: Arc<Trace>,
}

impl Ended {
    /// Writes the report and the summary.
    pub async fn conclude(self, cancel: &Cancellation) -> ExitStatus {
        let Self { report, unrecorded, mut progress, output, log, trace } = self;
        let Output {
            sink, reports, history, format, screens, verbose, raw, brief, messages, ..
        } = output;
        progress.clear();
        let report = Arc::new(report);
        let screen = if let Sink::Stdout = sink { screens.stdout } else { screens.file };
        let summary_follows =
            messages != Messages::Nothing && matches!(sink, Sink::Stdout) && screens.same;
        let markdown = screen.terminal && !raw;
        let look = Look { summary_follows, markdown, brief, ..screen.look(verbose) };
        let flow = log.as_ref().map(EventLog::flow).unwrap_or_default();
        let write = move |report: &Report, out: &mut dyn Write| {
            log.into_iter().for_each(EventLog::finish);
            format.write(report, look, out)
        };
        let delivered = delivery::deliver_after(flow, &report, sink, write, cancel);
        let separated = screen.terminal || summary_follows;
        let report_precedes = summary_follows && format == Format::Text && !brief;
        let below = Look { report_precedes, ..screens.stderr.look(verbose) };
        let summary = async { messages.text(&report, below, separated) };
        let exported = async {
            tokio::select! {
                biased;
                exported = trace.export(&report) => exported.err(),
                // Another signal: nothing waits for a collector then.
                () = cancel.killed() => None,
            }
        };
        let reported = reports.write(&report, cancel);
        let kept = async { history?.keep(&report).await };
        // In this order: the summary is rendered while a thread writes the report.
        let (delivered, mut last, not_exported, mut reported, not_kept) =
            tokio::join!(biased; delivered, summary, exported, reported, kept);
        last.append(&mut reported.annotations);
        if messages == Messages::Summary {
            let not_exported = not_exported.map(|why| format!("the spans were not sent: {why}"));
            let notes = not_exported.iter().chain(&not_kept);
            last.extend(
                notes.flat_map(|note| format!("note: {}\n", text::inline(note)).into_bytes()),
            );
        }
        if messages != Messages::Nothing {
            let failed = reported.failed.iter().map(ToString::to_string).chain(unrecorded.clone());
            last.extend(failed.flat_map(|error| format!("error: {error}\n").into_bytes()));
        }
        let status = match delivered {
            // A signal that arrived after the run had ended has nothing to stop.
            Ok(()) if reported.failed.is_empty() && unrecorded.is_none() => ExitStatus::of(&report),
            Ok(()) => undelivered(&report, cancel),
            Err(error) => {
                let kept = delivery::keep(&report, &error);
                if messages != Messages::Nothing {
                    last.extend(kept);
                }
                undelivered(&report, cancel)
            }
        };
        progress.finish(last);
        status
    }
}

/// The exit status of a run whose report was not written.
fn undelivered(report: &Report, cancel: &Cancellation) -> ExitStatus {
    if !report.cleanup.survivors.is_empty() {
        return ExitStatus::Survivors;
    }
    let signal = cancel.signal();
    signal.map_or(ExitStatus::Unreported, ExitStatus::Signalled)
}
