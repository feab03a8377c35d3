//! `crew batch run`, stage by stage: everything that can be wrong is found before anything runs.

use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;

use super::part::part;
use crate::approval::Approval;
use crate::batch::feed::{self, Selection};
use crate::batch::folder::{Changed, Folder, Found, Options, Retry};
use crate::batch::keys::Keys;
use crate::batch::part::Part;
use crate::batch::partition::PinnedParts;
use crate::batch::read;
use crate::batch::results::ResultsWriter;
use crate::batch::run_file::RunFile;
use crate::batch::sink::{Sink, Stdout};
use crate::batch::tally::Tally;
use crate::batch::window::{Runner, Stop, Window};
use crate::cancel::Cancellation;
use crate::cli::{BatchRunArgs, ChangedChoice, RetryChoice};
use crate::commands::invalid::{fault, invalid, unsaid};
use crate::commands::run::overrides;
use crate::commands::runtime::runtime;
use crate::commands::{env_file, reader};
use crate::config::faults::Faults;
use crate::exit::{self, ExitStatus};
use crate::plan::{self, CrewPlan, Fingerprint};
use crate::process;
use crate::render::{Format, Screens};
use crate::report::Cleanup;
use crate::services::Services;

/// Inputs at once, unless `-j` says otherwise.
const DEFAULT_JOBS: usize = 256;

pub fn run(args: &BatchRunArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    process::forbid_inspection();
    let refuse = |faults: &Faults| match args.quiet {
        0 | 1 => invalid(faults, screens, Format::Text),
        _ => unsaid(faults, Format::Text),
    };
    if let Err(faults) = env_file::load(&args.file.env_files) {
        return refuse(&faults);
    }
    let cancel = Cancellation::new();
    let runtime = match runtime(&cancel) {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&fault(&error)),
    };
    let entered = runtime.enter();
    let prepared = Prepared::new(args, &cancel);
    drop(entered);
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(faults) => return refuse(&faults),
    };
    let running = prepared.run(cancel.clone());
    // In a task: otherwise each wake-up of the future that the runtime waits for is a system call.
    let ended = match runtime.block_on(async { tokio::spawn(running).await }) {
        Ok(ended) => ended,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    // Do not wait for a read of the inputs, which cannot be cancelled.
    runtime.shutdown_background();
    if args.quiet < 2 && (args.quiet == 0 || ended.status(&cancel) != ExitStatus::Success) {
        let _ = stderr().write_all(ended.summary().as_bytes());
    }
    ended.status(&cancel)
}

/// Everything that a batch needs and that is available before it starts.
struct Prepared {
    runner: Runner,
    folder: Option<Folder>,
    sink: Sink,
    inputs: tokio::sync::mpsc::Receiver<feed::Next>,
    jobs: usize,
}

impl Prepared {
    fn new(args: &BatchRunArgs, cancel: &Cancellation) -> Result<Self, Faults> {
        let env = |name: &str| std::env::var(name).ok();
        let overrides = overrides(&args.selection, &args.limits);
        let mut plan = plan::load(args.file.config.as_deref(), &overrides, &env)?;
        let (part, parts) = part(args)?;
        plan.share_rates(part.of);
        let fingerprint = Fingerprint::of(&plan);
        let hash = fingerprint.hash.as_str().into();
        let services = Services::connect(&plan, cancel, process::raise_open_files());
        let mut services = services.map_err(|error| fault(&error.into()))?;
        if args.selection.yes {
            services.approval = Approval::All;
        }
        let mut folder = match args.out.as_path() {
            out if out == Path::new("-") => None,
            out => Some(open(args, out, &plan, fingerprint, part, parts)?),
        };
        if let Some(folder) = &mut folder {
            folder.began(read::count(&args.inputs));
        }
        let sink = sink(folder.as_ref(), cancel)?;
        let keys = folder.as_mut().map(|folder| std::mem::take(&mut folder.keys));
        let selection =
            Selection { part, key: args.inputs_args.key.clone(), limit: args.inputs_args.limit };
        let inputs = feed::start(&args.inputs, selection, keys.unwrap_or_else(Keys::default));
        let inputs = inputs.map_err(|error| {
            let message = format!("{}: {error}", args.inputs.display());
            Faults::unplaced(None, message, None)
        })?;
        let runner = Runner {
            plan: Arc::new(plan),
            services: Arc::new(services),
            cancel: cancel.clone(),
            events: Arc::new(drop),
            fingerprint: hash,
        };
        let jobs = args.jobs.map_or(DEFAULT_JOBS, Into::into);
        Ok(Self { runner, folder, sink, inputs, jobs })
    }

    async fn run(self, cancel: Cancellation) -> Ended {
        let Self { runner, mut folder, mut sink, inputs, jobs } = self;
        let services = runner.services.clone();
        let mut tally = Tally::default();
        let window = Window { runner, inputs, sink: &mut sink, tally: &mut tally, jobs };
        let mut end = window.run().await;
        let cleanup = services.close().await;
        if let Sink::Stdout(stdout) = sink {
            let written = tokio::select! {
                biased;
                written = stdout.finish() => written,
                () = cancel.cancelled() => Ok(()),
            };
            if let (Ok(_), Err(error)) = (&end, written) {
                end = Err(Stop::Read(error));
            }
        }
        if let Some(folder) = &mut folder {
            folder.ended(end.as_ref().ok().copied());
        }
        let found = folder.map(|folder| folder.found).unwrap_or_default();
        Ended { tally, found, stop: end.err(), cleanup }
    }
}

/// Takes up the folder.
fn open(
    args: &BatchRunArgs,
    out: &Path,
    plan: &CrewPlan,
    fingerprint: Fingerprint,
    part: Part,
    parts: PinnedParts,
) -> Result<Folder, Faults> {
    let wanted = RunFile::new(
        plan.name.clone(),
        args.inputs.display().to_string(),
        args.inputs_args.key.clone(),
        parts,
        fingerprint,
    );
    let retry = match args.resume.retry {
        RetryChoice::Failed => Retry::Failed,
        RetryChoice::None => Retry::None,
    };
    let changed = match args.resume.changed {
        None => Changed::Refuse,
        Some(ChangedChoice::Rerun) => Changed::Rerun,
        Some(ChangedChoice::Keep) => Changed::Keep,
    };
    Folder::open(out, wanted, Options { part, retry, changed })
        .map_err(|error| Faults::unplaced(None, error.to_string(), None))
}

fn sink(folder: Option<&Folder>, cancel: &Cancellation) -> Result<Sink, Faults> {
    match folder {
        Some(folder) => {
            let results = ResultsWriter::open(&folder.part.results(&folder.path));
            results.map(Sink::File).map_err(|error| fault(&error.into()))
        }
        None => {
            let watched = reader::watch(cancel).and_then(|()| Stdout::start());
            watched.map(Sink::Stdout).map_err(|error| fault(&error.into()))
        }
    }
}

/// A batch that has ended.
struct Ended {
    tally: Tally,
    /// The results of earlier processes.
    found: Found,
    stop: Option<Stop>,
    cleanup: Cleanup,
}

impl Ended {
    fn status(&self, cancel: &Cancellation) -> ExitStatus {
        let signal = cancel.reason().and_then(|reason| exit::signal_of(reason.kind));
        match (&self.stop, signal) {
            _ if !self.cleanup.survivors.is_empty() => ExitStatus::Survivors,
            (Some(Stop::Write(_)), _) => ExitStatus::Unreported,
            (Some(_), Some(signal)) => ExitStatus::Signalled(signal),
            (Some(_), None) => ExitStatus::Failure,
            (None, _) if self.tally.failed + self.tally.cancelled + self.found.failed > 0 => {
                ExitStatus::Failure
            }
            (None, _) => ExitStatus::Success,
        }
    }

    fn summary(&self) -> String {
        let Tally { succeeded, failed, .. } = self.tally;
        let Found { succeeded: before, failed: kept, .. } = self.found;
        let mut text = match &self.stop {
            Some(stop) => format!("error: {stop}\n"),
            None => String::new(),
        };
        let all = succeeded + before;
        text.push_str(&format!("{all} inputs succeeded, {} failed\n", failed + kept));
        text
    }
}
