//! `crew run`, stage by stage: everything that can be wrong is found before anything is started.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use crate::approval::{Consent, Terminal};
use crate::cancel::Cancellation;
use crate::cli::{LimitArgs, RunArgs};
use crate::commands::input::Source;
use crate::commands::output::OutputFile;
use crate::commands::reader;
use crate::config::faults::Faults;
use crate::engine::{self, Services};
use crate::plan::{self, CrewPlan, OnFailure, Overrides};
use crate::process::own;
use crate::render::progress::{self, Progress};
use crate::report::{CancelKind, Report};
use crate::tool::http::HttpClients;
use crate::{exit, provider, render, signal, text};
use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use super::shared::{Screens, environment, invalid, is_json, look};
use crate::commands::delivery;

pub fn run(args: &RunArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let json = is_json(args.output.output, args.output.output_file.is_some());
    own::keep_private();
    let cancel = Cancellation::new();
    // Signals first: one that comes while the file is read ends in a report, too.
    let prepared = runtime(&cancel).map_err(usage).and_then(|runtime| {
        let prepared = Prepared::new(args)?;
        Ok((prepared, runtime))
    });
    let (prepared, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(faults) => return invalid(&faults, screens, json),
    };
    let running = prepared.run(progress_options(args, screens), cancel.clone());
    // In a task: each time something wakes what the runtime itself waits for is a system call.
    let (report, progress, file) = match runtime.block_on(async { tokio::spawn(running).await }) {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return invalid(&usage(error), screens, json),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    // Crew ends by what its report says: a signal that came after it has nothing left to stop.
    let reported = report.reason.as_ref().map(|reason| reason.kind);
    let all_gone = report.cleanup.survivors.is_empty();
    let exit_code = conclude(report, progress, file, args, screens, &runtime, &cancel);
    // A name look-up or a read of standard input that nobody can cancel is not waited for.
    runtime.shutdown_background();
    let ended_by = match exit_code {
        exit::UNREPORTED => cancel.reason().map(|reason| reason.kind),
        _ => reported,
    };
    if let (Some(signal), true) = (ended_by.and_then(exit::signal_of), all_gone) {
        exit::die_by(signal);
    }
    ExitCode::from(exit_code)
}

/// One thread: model servers and tools do the work, crew only waits for them. Signals that arrive
/// from now on cancel the run.
pub fn runtime(cancel: &Cancellation) -> anyhow::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let within = runtime.enter();
    signal::listen(cancel).context("cannot listen to signals")?;
    drop(within);
    Ok(runtime)
}

/// Everything a run needs that can be had before it.
struct Prepared {
    plan: CrewPlan,
    source: Source,
    file: Option<OutputFile>,
    /// No tool needs a confirmation any more.
    yes: bool,
}

impl Prepared {
    fn new(args: &RunArgs) -> Result<Self, Faults> {
        let plan = plan::load(args.file.config.as_deref(), &overrides(args), &environment)?;
        let source = Source::choose(args.input.input.clone(), args.input.input_file.clone());
        let file = args.output.output_file.as_deref().map(OutputFile::open).transpose();
        let file = file.map_err(|error| usage(error.into()))?;
        Ok(Self { plan, source: source.map_err(usage)?, file, yes: args.selection.yes })
    }

    /// Runs the plan. `Err` means that nothing of it was started.
    async fn run(
        self,
        options: progress::Options,
        cancel: Cancellation,
    ) -> anyhow::Result<(Report, Progress, Option<OutputFile>)> {
        let Self { plan, source, file, yes } = self;
        if file.is_none() {
            reader::watch(&cancel).context("cannot watch standard output")?;
        }
        let providers = provider::connect(&plan.providers)?;
        let http = HttpClients::connect(&plan)?;
        let input = input(source, &plan, &cancel).await?;
        let names: Vec<&str> = plan.agents.iter().map(|agent| agent.name.as_str()).collect();
        let terminal = (plan.needs_approval() && !yes).then(Terminal::open).flatten();
        let screen = terminal.as_ref().and_then(|_| Terminal::writer().ok());
        let progress = Progress::start(&names, options, screen).context("cannot start a thread")?;
        for warning in plan.warnings() {
            progress.say(format!("warning: {}", text::inline(&warning)));
        }
        let services = Services {
            providers,
            http,
            secrets: plan.secrets(),
            events: progress.sink(),
            consent: if yes { Consent::Given } else { Consent::of(terminal, progress.prompter()) },
            open_files: own::raise_open_files(),
        };
        let report = engine::run(&plan, &input, &cancel, &services).await;
        // The connections of dropped calls are closed by tasks of their own: now, not after the report.
        tokio::task::yield_now().await;
        Ok((report, progress, file))
    }
}

fn progress_options(args: &RunArgs, screens: Screens) -> progress::Options {
    progress::Options {
        draw: screens.stderr.terminal && !args.output.no_progress,
        colour: screens.stderr.colour,
        verbose: args.output.verbose > 0,
        quiet: args.output.quiet || args.output.no_progress,
    }
}

fn overrides(args: &RunArgs) -> Overrides {
    let LimitArgs { timeout, max_parallel, keep_going, fail_fast } = args.limits;
    Overrides {
        agents: args.selection.agents.clone(),
        vars: args.selection.vars.clone(),
        model: args.selection.model.clone(),
        offline: args.selection.offline,
        timeout,
        max_parallel: max_parallel.map(Into::into),
        on_failure: match (keep_going, fail_fast) {
            (true, _) => Some(OnFailure::Continue),
            (_, true) => Some(OnFailure::Cancel),
            _ => None,
        },
    }
}

/// The input, waited for no longer than the run may take. If the run is stopped before it is
/// there, the run goes on without it, only to report that nothing was started.
async fn input(source: Source, plan: &CrewPlan, cancel: &Cancellation) -> anyhow::Result<String> {
    tokio::select! {
        biased;
        input = source.read() => input,
        () = cancel.cancelled() => Ok(String::new()),
        () = tokio::time::sleep(plan.limits.timeout) => {
            cancel.cancel(CancelKind::Timeout);
            Ok(String::new())
        }
    }
}

/// Writes the report and the summary; returns the exit status.
fn conclude(
    report: Report,
    mut progress: Progress,
    file: Option<OutputFile>,
    args: &RunArgs,
    screens: Screens,
    runtime: &Runtime,
    cancel: &Cancellation,
) -> u8 {
    let verbose = args.output.verbose > 0;
    progress.clear();
    let report = Arc::new(report);
    let summary = async {
        let mut summary = Vec::new();
        if !args.output.quiet {
            if screens.stdout.terminal {
                // Apart from the result above it on the same screen.
                summary.push(b'\n');
            }
            let _ = render::summary(&report, look(screens.stderr, verbose), &mut summary);
        }
        summary
    };
    let json = is_json(args.output.output, file.is_some());
    let stdout = screens.stdout;
    let show = move |report: &Report, out: &mut dyn Write| match json {
        true => render::json(report, out),
        false => render::text(report, look(stdout, verbose), out),
    };
    let delivered = delivery::deliver(&report, file, show, cancel);
    // In this order: the summary is made while a thread writes the report.
    let together = async { tokio::join!(biased; delivered, summary) };
    let (delivered, mut summary) = runtime.block_on(together);
    let exit_code = match delivered {
        Ok(()) => report.exit_code,
        Err(failure) => {
            summary.extend(delivery::keep(&report, &failure));
            exit::UNREPORTED
        }
    };
    progress.finish(summary);
    exit_code
}

fn usage(error: anyhow::Error) -> Faults {
    Faults::unplaced(None, format!("{error:#}"), None)
}
