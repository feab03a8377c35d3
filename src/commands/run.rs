//! The start of `crew run`: everything that can be wrong is found before anything is started.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;

use super::earlier::{self, EarlierRun, Rerun};
use super::env_file;
use super::history::History;
use super::input::{self, Input, Source};
use super::invalid::{fault, invalid, unsaid};
use super::messages::Messages;
use super::reader;
use super::rehearsal;
use super::reports::{self, Reports};
use super::run_end::{Ended, Output};
use super::runtime::{run_task, runtime};
use super::sink::Sink;
use super::trace::{TraceFolder, TraceWriter};
use crate::approval::{Approval, Terminal};
use crate::attachment::Attached;
use crate::cancel::Cancellation;
use crate::cli::{LimitArgs, OutputArgs, RehearsalArgs, RunArgs, SelectionArgs};
use crate::config::faults::Faults;
use crate::engine::{self, Reuse};
use crate::exit::ExitStatus;
use crate::plan::{self, CrewPlan, Fingerprint, OnFailure, Overrides};
use crate::process;
use crate::render::progress::{self, Progress};
use crate::render::{Format, Screens};
use crate::report::{CancelKind, Invocation, Transcripts};
use crate::services::{Rehearsal, Services};
use crate::text::{self, quoted};

pub fn run(args: &RunArgs) -> ExitStatus {
    start(args, None)
}

/// Runs a crew; with an earlier run, only what that one did not finish.
pub(super) fn start(args: &RunArgs, earlier: Option<EarlierRun>) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    let format = args.output.output.resolve(args.output.output_file.is_some());
    process::forbid_inspection();
    let refuse = |faults: &Faults| match Messages::of(args.output.quiet) {
        Messages::Nothing => unsaid(faults, format),
        Messages::Summary | Messages::Errors => invalid(faults, screens, format),
    };
    if let Err(faults) = env_file::load(&args.file.env_files) {
        return refuse(&faults);
    }
    let cancel = Cancellation::new();
    // Signals first: one that arrives while the file is read ends in a report, too.
    let prepared = runtime(&cancel).map_err(|error| fault(&error)).and_then(|runtime| {
        let prepared = Prepared::new(args, earlier, format, screens)?;
        Ok((prepared, runtime))
    });
    let (prepared, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(faults) => return refuse(&faults),
    };
    let ended = match run_task(&runtime, prepared.run(cancel.clone())) {
        Ok(ended) => ended,
        Err(faults) => return refuse(&faults),
    };
    let status = runtime.block_on(ended.conclude(&cancel));
    // Do not wait for a name lookup or a read of standard input, which cannot be cancelled.
    runtime.shutdown_background();
    status
}

/// Everything that a run needs and that is available before it starts.
struct Prepared {
    plan: CrewPlan,
    invocation: Invocation,
    rerun: Option<Rerun>,
    source: Source,
    rehearsal: Rehearsal,
    output: Output,
    progress: progress::Options,
    trace: Option<TraceFolder>,
    transcripts: Transcripts,
    /// Every call of a tool is approved.
    yes: bool,
}

impl Prepared {
    fn new(
        args: &RunArgs,
        earlier: Option<EarlierRun>,
        format: Format,
        screens: Screens,
    ) -> Result<Self, Faults> {
        input::check_argument(&args.input)?;
        let overrides = Overrides {
            attached: attached(&args.input.attach)?,
            replay: args.rehearsal.replay.is_some(),
            earlier_agents: earlier.is_some(),
            ..overrides(&args.selection, &args.limits)
        };
        let env = rehearsal::env_of(overrides.replay);
        let plan = plan::load(args.file.config.as_deref(), &overrides, env)?;
        if format == Format::Answer && plan.output.is_none() {
            return Err(no_single_answer(&plan));
        }
        let rerun = earlier.map(|earlier| earlier.compare(&plan)).transpose()?;
        check_distinct(args, &plan)?;
        let source = Source::choose(&args.input, plan.uses_input())?;
        let rehearsal = rehearsal::rehearsal(&args.rehearsal, &plan)?;
        let output_file = args.output.output_file.as_deref();
        let open = if format == Format::Jsonl { Sink::open_growing } else { Sink::open };
        let sink = open(output_file)
            .map_err(|error| Faults::unplaced(None, format!("--output-file {error}"), None))?;
        let reports = Reports::open(&args.output.reports)?;
        let trace = args.output.trace.as_deref().map(TraceFolder::open).transpose()?;
        let messages = Messages::of(args.output.quiet);
        let verbose = args.output.verbose > 0;
        Ok(Self {
            invocation: earlier::invocation(args, &plan),
            plan,
            source,
            rehearsal,
            output: Output {
                sink,
                reports,
                history: History::of_user().filter(|_| is_new(&rerun) && !args.output.no_history),
                format,
                screens,
                verbose,
                raw: args.output.raw,
                brief: args.output.brief,
                messages,
                has_conversations: args.output.messages,
            },
            progress: progress_options(&args.output, screens, messages),
            transcripts: match (trace.is_some() || args.output.messages, args.output.verbose) {
                (true, _) => Transcripts::Reported,
                (false, 2..) => Transcripts::Emitted,
                (false, _) => Transcripts::Off,
            },
            trace,
            yes: args.selection.yes,
            rerun,
        })
    }

    /// Runs the plan. After an error nothing was started.
    async fn run(self, cancel: Cancellation) -> Result<Ended, Faults> {
        let Self { plan, invocation, rerun, source, rehearsal, output, .. } = self;
        let Self { progress: options, trace, transcripts, yes, .. } = self;
        if let Sink::Stdout = output.sink {
            let watched = reader::watch(&cancel).context("cannot watch standard output");
            watched.map_err(|error| fault(&error))?;
        }
        let open_files = process::raise_open_files();
        let services = Services::rehearse(&plan, &cancel, open_files, rehearsal);
        let mut services = services.map_err(|error| fault(&error.into()))?;
        let Input { text, note } =
            input(source, &plan, output.messages != Messages::Summary, &cancel).await?;
        // A run that was stopped before it had its input only reports that.
        let input = match cancel.is_cancelled() {
            true => text.into(),
            false => input::of_run(text, &plan)?,
        };
        let crew = progress::crew(&plan, Arc::clone(&services.secrets));
        let terminal = (plan.needs_approval() && !yes).then(Terminal::open).flatten();
        let screen = terminal.as_ref().and_then(|_| Terminal::writer().ok());
        let trace = trace.map(|folder| folder.start(crew.clone())).transpose();
        let trace = trace.context("cannot start a thread").map_err(|error| fault(&error))?;
        let progress = Progress::start(crew, options, screen).context("cannot start a thread");
        let progress = progress.map_err(|error| fault(&error))?;
        if let Some(note) = &note {
            progress.say(format!("note: {}", text::inline(note)));
        }
        for note in rerun.iter().flat_map(|rerun| &rerun.notes) {
            progress.say(format!("note: {}", text::inline(note)));
        }
        for warning in plan.warnings() {
            progress.say(format!("warning: {}", text::inline(&warning)));
        }
        services.approval =
            if yes { Approval::All } else { Approval::interactive(terminal, progress.prompter()) };
        services.transcripts = transcripts;
        let events = progress.sink();
        let events = trace.iter().fold(events, |next, trace| trace.sink(next));
        let log = (output.format == Format::Jsonl).then(|| output.log(&plan)).transpose()?;
        let events = log.iter().fold(events, |next, log| log.sink(next));
        if let Some(recording) = services.recording.as_ref().filter(|_| is_new(&rerun)) {
            rehearsal::begin(recording)?;
        }
        let nothing = Reuse::default();
        let reuse = rerun.as_ref().map_or(&nothing, |rerun| &rerun.reuse);
        let mut report = engine::rerun(&plan, &input, &services, &cancel, &events, reuse).await;
        engine::settle(&mut report, services.close().await);
        report.invocation = Some(invocation.redact(&services.secrets));
        report.fingerprint = Some(Fingerprint::parts_of(&plan));
        if let Some(rerun) = rerun {
            report = rerun.conclude(report);
        }
        if let Some(Err(error)) = trace.map(TraceWriter::finish) {
            progress.say(format!("warning: --trace: not everything was written: {error}"));
        }
        // Tasks close the connections of dropped calls: let them run before the report is written.
        tokio::task::yield_now().await;
        let unrecorded = services.recording.as_ref().and_then(|recording| recording.failure());
        Ok(Ended { report, unrecorded, progress, output, log, trace: services.trace })
    }
}

/// Finds files of the options that would replace each other or the crew's file.
fn check_distinct(args: &RunArgs, plan: &CrewPlan) -> Result<(), Faults> {
    let RehearsalArgs { record, replay, replay_or_record, .. } = &args.rehearsal;
    let read =
        [("the crew's file", Some(&*plan.file)), ("the file of --replay", replay.as_deref())];
    let written = [
        ("--record", record),
        ("--replay-or-record", replay_or_record),
        ("--output-file", &args.output.output_file),
    ];
    let written = written.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let reports = args.output.reports.iter();
    let reports = reports.filter_map(|target| Some(("--report", target.path.as_deref()?)));
    reports::check_distinct(read, written.chain(reports))
}

/// Whether something runs, so that there is a new report.
fn is_new(rerun: &Option<Rerun>) -> bool {
    rerun.as_ref().is_none_or(|rerun| !rerun.is_done)
}

fn progress_options(args: &OutputArgs, screens: Screens, messages: Messages) -> progress::Options {
    progress::Options {
        draw: screens.stderr.terminal && !args.no_progress,
        colour: screens.stderr.colour,
        reader: screens.stderr.reader,
        verbose: args.verbose > 0,
        transcripts: args.verbose > 1,
        quiet: messages != Messages::Summary || args.no_progress,
    }
}

/// What the options change in the file.
pub fn overrides(selection: &SelectionArgs, limits: &LimitArgs) -> Overrides {
    let LimitArgs { timeout, max_parallel, keep_going, fail_fast } = *limits;
    Overrides {
        agents: selection.agents.clone(),
        vars: selection.vars.clone(),
        model: selection.model.clone(),
        offline: selection.offline,
        timeout,
        max_parallel: max_parallel.map(Into::into),
        on_failure: match (keep_going, fail_fast) {
            (true, _) => Some(OnFailure::Continue),
            (_, true) => Some(OnFailure::Cancel),
            _ => None,
        },
        ..Overrides::default()
    }
}

/// Reads the files of `--attach`.
pub(super) fn attached(paths: &[PathBuf]) -> Result<Vec<Attached>, Faults> {
    let read = |path: &PathBuf| {
        Attached::read(path).map_err(|error| {
            let path = text::quoted(&path.to_string_lossy());
            Faults::unplaced(None, format!("--attach: cannot attach {path}: {error}"), None)
        })
    };
    paths.iter().map(read).collect()
}

/// Reads the input within the time limit of the run. If the run is stopped meanwhile, it continues
/// without input, only to report that nothing was started.
async fn input(
    source: Source,
    plan: &CrewPlan,
    quiet: bool,
    cancel: &Cancellation,
) -> Result<Input, Faults> {
    tokio::select! {
        biased;
        input = source.read(quiet) => input,
        () = cancel.cancelled() => Ok(Input::default()),
        () = tokio::time::sleep(plan.limits.timeout) => {
            cancel.cancel(CancelKind::Timeout);
            Ok(Input::default())
        }
    }
}

/// `-o answer` needs to know whose answer is meant.
fn no_single_answer(plan: &CrewPlan) -> Faults {
    let (message, hint) = match &plan.unselected_output {
        Some(name) => (
            format!("-o answer: {}, whose answer is the crew's, is not selected", quoted(name)),
            "add it to --agents, or use `-o json`, which has the answers of all agents",
        ),
        None => (
            "-o answer: several agents could give the crew's answer".to_owned(),
            "name one in the file with `output: AGENT`, or select one with --agents",
        ),
    };
    Faults::unplaced(None, message, Some(hint.to_owned()))
}
