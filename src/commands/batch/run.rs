//! `crew batch run`, stage by stage: everything that can be wrong is found before anything runs.

use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

use super::ended::Ended;
use super::estimate::{DEFAULT_SAMPLE, estimate};
use super::part::part;
use super::progress::Progress;
use super::{budget, drain};
use crate::approval::Approval;
use crate::batch::feed::{self, Next, ReadProgress, Selection};
use crate::batch::folder::{Changed, Folder, Options, Retry};
use crate::batch::part::Part;
use crate::batch::partition::PinnedParts;
use crate::batch::read;
use crate::batch::reports;
use crate::batch::results::ResultsWriter;
use crate::batch::run_file::RunFile;
use crate::batch::sample::Sample;
use crate::batch::sink::{Sink, Stdout};
use crate::batch::stop::Watch;
use crate::batch::tally::Tally;
use crate::batch::window::{Jobs, Runner, Window};
use crate::cancel::Cancellation;
use crate::cli::{BatchRunArgs, ChangedChoice, RetryChoice};
use crate::commands::invalid::{fault, invalid, unsaid};
use crate::commands::messages::Messages;
use crate::commands::run::{attached, overrides};
use crate::commands::runtime::{run_task, runtime};
use crate::commands::{env_file, reader};
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::plan::{self, CrewPlan, Fingerprint, Overrides};
use crate::process;
use crate::render::{self, Format, Screens, batch as shown};
use crate::report::Transcripts;
use crate::services::Services;
use crate::telemetry::{BatchSpan, NotSent, SpanQueue};
use crate::text;

/// How long the reader of standard output may take for the last lines once crew is to stop.
const LAST_LINES: Duration = Duration::from_millis(200);
/// Inputs at once, unless `-j` says otherwise.
const MAX_GOVERNED: usize = 256;

pub fn run(args: &BatchRunArgs) -> ExitStatus {
    let screens = Screens::new(args.color.color);
    process::forbid_inspection();
    let messages = Messages::of(args.quiet);
    let refuse = |faults: &Faults| match messages {
        Messages::Summary | Messages::Errors => invalid(faults, screens, Format::Text),
        Messages::Nothing => unsaid(faults, Format::Text),
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
    let progress = match messages {
        Messages::Summary => prepared.progress(screens).ok(),
        Messages::Errors | Messages::Nothing => None,
    };
    let ended = run_task(&runtime, prepared.run(cancel.clone()));
    // Do not wait for a read of the inputs, which cannot be cancelled.
    runtime.shutdown_background();
    progress.into_iter().for_each(Progress::finish);
    let status = ended.status(&cancel);
    if messages == Messages::Summary
        || messages == Messages::Errors && status != ExitStatus::Success
    {
        let _ = stderr().write_all(ended.summary(messages == Messages::Errors).as_bytes());
    }
    if let Some(estimate) = ended.estimate.as_ref().filter(|_| messages != Messages::Nothing) {
        let _ = stderr().write_all(render::batch_estimate(estimate).as_bytes());
    }
    status
}

/// Everything that a batch needs and that is available before it starts.
struct Prepared {
    runner: Runner,
    /// `None`: the lines go to standard output.
    folder: Option<Folder>,
    sink: Sink,
    inputs: Receiver<Next>,
    read: Arc<ReadProgress>,
    tally: Arc<Mutex<Tally>>,
    jobs: Jobs,
    watch: Watch,
    drain: Arc<Notify>,
    patience: Duration,
    /// The cost and time of the whole are estimated at the end.
    is_estimate: bool,
}

impl Prepared {
    /// Call it within a runtime.
    fn new(args: &BatchRunArgs, cancel: &Cancellation) -> Result<Self, Faults> {
        let env = |name: &str| std::env::var(name).ok();
        let overrides = Overrides {
            attached: attached(&args.inputs_args.attach)?,
            ..overrides(&args.selection, &args.limits)
        };
        let mut plan = plan::load(args.file.config.as_deref(), &overrides, &env)?;
        let (part, parts) = part(args)?;
        plan.share_rates(part.of);
        let limits = budget::plan(&args.stopping, &plan, part)?;
        let drain = drain::listen(args.stopping.drain_at).map_err(|error| fault(&error.into()))?;
        let fingerprint = Fingerprint::of(&plan);
        let hash = fingerprint.hash.as_str().into();
        let mut services = services(args, &plan, cancel)?;
        let selection = selection(args, part)?;
        // The inputs first: a slip in their name makes no folder.
        feed::check(&args.inputs).map_err(|error| unreadable(args, &error))?;
        let mut folder = match args.out.as_path() {
            out if out == Path::new("-") => None,
            out => Some(open(args, out, &plan, fingerprint, part, parts)?),
        };
        if let Some(folder) = &mut folder {
            folder.began(read::count(&args.inputs));
        }
        services.budget = budget::of_batch(limits, folder.as_ref());
        let sink = sink(folder.as_ref(), cancel)?;
        let keys = folder.as_mut().map(|folder| std::mem::take(&mut folder.keys));
        let started = feed::start(&args.inputs, selection, keys.unwrap_or_default());
        let (inputs, read) = started.map_err(|error| unreadable(args, &error))?;
        let jobs = jobs(args, &plan);
        let runner = Runner {
            plan: Arc::new(plan),
            spans: SpanQueue::start(&services.trace).map(Arc::new),
            services: Arc::new(services),
            scope: cancel.child(),
            events: Arc::new(drop),
            fingerprint: hash,
            reports: kept_reports(args)?,
            pulse: Arc::default(),
        };
        let watch = Watch::new(args.stopping.max_failures);
        let patience = args.stopping.drain;
        let tally = Arc::default();
        let is_estimate = args.inputs_args.estimate;
        Ok(Self {
            runner,
            folder,
            sink,
            inputs,
            read,
            tally,
            jobs,
            watch,
            drain,
            patience,
            is_estimate,
        })
    }

    /// Starts to show how far the batch is.
    fn progress(&self, screens: Screens) -> std::io::Result<Progress> {
        let read = self.read.clone();
        let found = self.folder.as_ref().map(|folder| folder.found.clone()).unwrap_or_default();
        let parts = self.folder.as_ref().map_or(1, |folder| u64::from(folder.part.of));
        Progress::start(self.tally.clone(), screens, move |tally, elapsed| {
            let get = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
            let (inputs, bytes) = (get(&read.inputs), get(&read.bytes));
            let unread = (bytes > 0 && read.size > 0).then(|| {
                let ahead = read.size.saturating_sub(bytes) as f64 / bytes as f64;
                (ahead * inputs as f64) as u64 / parts
            });
            let running = get(&read.chosen).saturating_sub(tally.done() + tally.cancelled);
            shown::Progress {
                tally,
                before: found.succeeded + found.failed,
                left: unread.map(|unread| unread + running),
                elapsed,
            }
        })
    }

    async fn run(self, cancel: Cancellation) -> Ended {
        let Self {
            runner,
            mut folder,
            mut sink,
            inputs,
            tally,
            jobs,
            watch,
            drain,
            patience,
            is_estimate,
            ..
        } = self;
        let (services, plan) = (runner.services.clone(), runner.plan.clone());
        let (spans, started_at) = (runner.spans.clone(), Timestamp::now());
        let shared = tally.clone();
        let window =
            Window { runner, inputs, sink: &mut sink, tally, jobs, watch, drain, patience };
        let outcome = window.run().await;
        let cleanup = services.close().await;
        let written = match sink {
            Sink::File(_) => Ok(()),
            Sink::Stdout(stdout) => {
                let cancelled = async {
                    cancel.cancelled().await;
                    tokio::time::sleep(LAST_LINES).await;
                };
                let patience = if outcome.stop.is_some() { patience } else { Duration::MAX };
                tokio::select! {
                    biased;
                    written = stdout.finish(patience) => written,
                    () = cancelled => Err(std::io::ErrorKind::TimedOut.into()),
                }
            }
        };
        if let Some(folder) = &mut folder {
            folder.ended(outcome.totals);
        }
        let measured = folder.as_ref().filter(|_| is_estimate);
        let estimate = measured.and_then(|folder| estimate(folder, jobs, &plan));
        let found = folder.map(|folder| folder.found).unwrap_or_default();
        let tally = *shared.lock();
        let spans = spans.and_then(Arc::into_inner);
        let unsent = tokio::select! {
            biased;
            unsent = export(spans, &plan.name, started_at, &tally) => unsent,
            // Another signal: nothing waits for a collector then.
            () = cancel.killed() => None,
        };
        Ended { tally, found, outcome, cleanup, written, estimate, unsent }
    }
}

/// Sends the last spans. Returns why some were not sent.
async fn export(
    spans: Option<SpanQueue>,
    crew: &str,
    started_at: Timestamp,
    tally: &Tally,
) -> Option<NotSent> {
    let duration_ms = Timestamp::now().duration_since(started_at).as_millis();
    let batch = BatchSpan {
        crew,
        started_at,
        duration_ms: duration_ms.try_into().unwrap_or_default(),
        succeeded: tally.succeeded,
        failed: tally.failed,
        cancelled: tally.cancelled,
    };
    spans?.finish(&batch).await.err()
}

/// What the runs of all inputs share.
fn services(
    args: &BatchRunArgs,
    plan: &CrewPlan,
    cancel: &Cancellation,
) -> Result<Services, Faults> {
    let services = Services::connect(plan, cancel, process::raise_open_files());
    let mut services = services.map_err(|error| fault(&error.into()))?;
    if args.messages {
        services.transcripts = Transcripts::Reported;
    }
    if args.selection.yes {
        services.approval = Approval::All;
    }
    Ok(services)
}

/// The inputs to run.
fn selection(args: &BatchRunArgs, part: Part) -> Result<Selection, Faults> {
    let inputs = &args.inputs_args;
    let count = inputs.sample.map(usize::from).or(inputs.estimate.then_some(DEFAULT_SAMPLE));
    let sample = count.map(|count| Sample { count, seed: inputs.seed });
    if inputs.estimate && args.out == Path::new("-") {
        let message = "--estimate keeps the results of its sample: give a folder with --out";
        return Err(Faults::unplaced(None, message.to_owned(), None));
    }
    if sample.is_some() && args.inputs == Path::new("-") {
        let message = "a sample reads the inputs twice, and standard input can be read once";
        let hint = Some("write the inputs to a file".to_owned());
        return Err(Faults::unplaced(None, message.to_owned(), hint));
    }
    Ok(Selection { part, key: inputs.key.clone(), limit: inputs.limit, sample })
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
    Folder::open(out, wanted, Options { part, retry, changed }).map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        Faults::unplaced(None, text::inline(&error.to_string()).into_owned(), hint)
    })
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

/// How many inputs run at once. Programs of this machine have no governor: without model servers
/// there are as many inputs as processors.
fn jobs(args: &BatchRunArgs, plan: &CrewPlan) -> Jobs {
    match args.jobs {
        Some(jobs) => Jobs::Fixed(jobs.into()),
        None if plan.providers.is_empty() => {
            Jobs::Fixed(std::thread::available_parallelism().map_or(1, Into::into))
        }
        None => Jobs::Governed(MAX_GOVERNED),
    }
}

/// The folder of the full reports, if they are kept.
fn kept_reports(args: &BatchRunArgs) -> Result<Option<Arc<std::path::PathBuf>>, Faults> {
    if !args.reports {
        return Ok(None);
    }
    if args.out == Path::new("-") {
        let message = "--reports needs a folder: give one with --out".to_owned();
        return Err(Faults::unplaced(None, message, None));
    }
    let folder = reports::create(&args.out).map_err(|error| fault(&error.into()))?;
    Ok(Some(Arc::new(folder)))
}

fn unreadable(args: &BatchRunArgs, error: &crate::batch::read::ReadError) -> Faults {
    let message = format!("{}: {error}", args.inputs.display());
    Faults::unplaced(None, message, None)
}
