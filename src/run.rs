//! `crew run`, stage by stage: everything that can be wrong is found before anything is started.

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use crew::cancel::Cancellation;
use crew::cli::{LimitArgs, RunArgs};
use crew::config::faults::Faults;
use crew::engine::{self, Services};
use crew::input::Source;
use crew::output::OutputFile;
use crew::plan::{self, CrewPlan, OnFailure, Overrides};
use crew::render::progress::{self, Progress};
use crew::report::{CancelKind, Report};
use crew::secret::Secrets;
use crew::{exit, provider, render, signal};
use tokio::runtime::{Builder, Runtime};

use crate::{Screens, environment, invalid, is_json, look};

/// How long a report may take to be written once a signal has asked crew to end.
const LAST_WRITE: Duration = Duration::from_millis(100);

pub fn run(args: &RunArgs) -> ExitCode {
    let screens = Screens::new(args.color.color);
    let json = is_json(args.output.output, args.output.output_file.is_some());
    let prepared = Prepared::new(args).and_then(|prepared| {
        let runtime = runtime().map_err(usage)?;
        Ok((prepared, runtime))
    });
    let (prepared, runtime) = match prepared {
        Ok(prepared) => prepared,
        Err(faults) => return invalid(&faults, screens, json),
    };
    let cancel = Cancellation::new();
    let running = prepared.run(progress_options(args, screens), cancel.clone());
    // In a task: each time something wakes what the runtime itself waits for is a system call.
    let (report, progress, file) = match runtime.block_on(async { tokio::spawn(running).await }) {
        Ok(Ok(ended)) => ended,
        Ok(Err(error)) => return invalid(&usage(error), screens, json),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let exit_code = conclude(report, progress, file, args, screens, &runtime, &cancel);
    // A name look-up or a read of standard input that nobody can cancel is not waited for.
    runtime.shutdown_background();
    if let Some(signal) = cancel.reason().and_then(|reason| exit::signal_of(reason.kind)) {
        exit::die_by(signal);
    }
    ExitCode::from(exit_code)
}

/// One thread: model servers and tools do the work, crew only waits for them.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

/// Everything a run needs that can be had before it.
struct Prepared {
    plan: CrewPlan,
    source: Source,
    file: Option<OutputFile>,
}

impl Prepared {
    fn new(args: &RunArgs) -> Result<Self, Faults> {
        let plan = plan::load(args.file.config.as_deref(), &overrides(args), &environment)?;
        let source = Source::choose(args.input.input.clone(), args.input.input_file.clone());
        let file = args.output.output_file.as_deref().map(OutputFile::open).transpose();
        let file = file.map_err(|error| usage(error.into()))?;
        Ok(Self { plan, source: source.map_err(usage)?, file })
    }

    /// Runs the plan. `Err` means that nothing of it was started.
    async fn run(
        self,
        options: progress::Options,
        cancel: Cancellation,
    ) -> anyhow::Result<(Report, Progress, Option<OutputFile>)> {
        let Self { plan, source, file } = self;
        signal::listen(&cancel).context("cannot listen to signals")?;
        let providers = provider::connect(&plan.providers)?;
        let input = input(source, &plan, &cancel).await?;
        let names: Vec<&str> = plan.agents.iter().map(|agent| agent.name.as_str()).collect();
        let progress = Progress::start(&names, options).context("cannot start a thread")?;
        let services = Services { providers, secrets: Secrets::of(&plan), events: progress.sink() };
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
    let mut summary = Vec::new();
    if !args.output.quiet {
        if screens.stdout.terminal {
            // Apart from the result above it on the same screen.
            summary.push(b'\n');
        }
        let _ = render::summary(&report, look(screens.stderr, verbose), &mut summary);
    }
    let exit_code = report.exit_code;
    progress.clear();
    let json = is_json(args.output.output, file.is_some());
    let stdout = screens.stdout;
    let written = in_time(runtime, cancel, move || {
        let render = |out: &mut dyn Write| match json {
            true => render::json(&report, out),
            false => render::text(&report, look(stdout, verbose), out),
        };
        match file {
            // Its message holds the cause already.
            Some(file) => file.write(render).map_err(|error| anyhow::anyhow!("{error}")),
            None => to_stdout(render).context("could not write the report to standard output"),
        }
    });
    let exit_code = match written {
        Ok(()) => exit_code,
        Err(error) if is_broken_pipe(&error) => exit::UNREPORTED,
        Err(error) => {
            summary.extend(format!("error: {error:#}\n").bytes());
            exit::UNREPORTED
        }
    };
    progress.finish(summary);
    exit_code
}

/// Does the writing in a thread of its own: a reader that has stopped reading can keep the thread,
/// but a signal still ends crew.
fn in_time(
    runtime: &Runtime,
    cancel: &Cancellation,
    write: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let (done, result) = tokio::sync::oneshot::channel();
    thread::Builder::new()
        .name("report".to_owned())
        .spawn(move || done.send(write()))
        .context("cannot start a thread to write the report")?;
    // Of a run that was cancelled the first signal may have been heard already.
    let was_cancelled = cancel.is_cancelled();
    runtime.block_on(async {
        let signalled = async {
            if was_cancelled { cancel.killed().await } else { cancel.cancelled().await }
            tokio::time::sleep(LAST_WRITE).await;
        };
        tokio::select! {
            biased;
            result = result => result.context("the thread that wrote the report is gone")?,
            () = signalled => anyhow::bail!("the report was not written: its reader did not take it"),
        }
    })
}

fn to_stdout(render: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut stdout = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    render(&mut stdout)?;
    stdout.flush()
}

/// The reader has seen enough: nobody is there to be told.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io_error = error.root_cause().downcast_ref::<io::Error>();
    io_error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn usage(error: anyhow::Error) -> Faults {
    Faults::unplaced(None, format!("{error:#}"), None)
}
