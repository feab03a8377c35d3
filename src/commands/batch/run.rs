//! `crew batch run`, stage by stage: everything that can be wrong is found before anything runs.

use std::io::{Write, stderr};
use std::path::Path;
use std::sync::Arc;

use super::estimate::DEFAULT_SAMPLE;
use super::part::part;
use super::progress::Progress;
use super::work::Prepared;
use super::{budget, drain, recording};
use crate::approval::Approval;
use crate::batch::counting::Counting;
use crate::batch::feed::{self, Selection};
use crate::batch::folder::{Changed, Folder, Options, Retry};
use crate::batch::part::Part;
use crate::batch::partition::PinnedParts;
use crate::batch::reports;
use crate::batch::results::ResultsWriter;
use crate::batch::run_file::RunFile;
use crate::batch::sample::Sample;
use crate::batch::sink::{Sink, Stdout};
use crate::batch::stop::{Stop, Watch};
use crate::batch::window::{Jobs, Runner};
use crate::cancel::Cancellation;
use crate::cli::{BatchRunArgs, ChangedChoice, RetryChoice};
use crate::commands::invalid::{fault, invalid, unsaid};
use crate::commands::messages::Messages;
use crate::commands::rehearsal::{begin, env_of, rehearsal};
use crate::commands::run::{attached, overrides};
use crate::commands::runtime::{prepare, run_task, runtime};
use crate::commands::{env_file, reader};
use crate::config::faults::Faults;
use crate::exit::ExitStatus;
use crate::plan::{self, AgentPlan, CrewPlan, Fingerprint, Overrides};
use crate::process;
use crate::render::{self, Format, Screens};
use crate::report::Transcripts;
use crate::services::Services;
use crate::telemetry::SpanQueue;
use crate::text;

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
    let prepared = match (prepare(&runtime, || prepared(args, &cancel)), cancel.signal()) {
        (Ok(prepared), _) => prepared,
        (Err(_), Some(signal)) => {
            if messages == Messages::Summary {
                let _ = writeln!(stderr(), "{}", Stop::Cancelled);
            }
            return ExitStatus::Signalled(signal);
        }
        (Err(faults), None) => return refuse(&faults),
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

/// Finds everything that can be wrong before anything runs. Call it within a runtime.
fn prepared(args: &BatchRunArgs, cancel: &Cancellation) -> Result<Prepared, Faults> {
    let overrides = Overrides {
        attached: attached(&args.inputs_args.attach)?,
        replay: args.rehearsal.replay.is_some(),
        ..overrides(&args.selection, &args.limits)
    };
    let mut plan = plan::load(args.file.config.as_deref(), &overrides, env_of(overrides.replay))?;
    check_approvals(args, &plan)?;
    let (part, parts) = part(args)?;
    plan.share_rates(part.of);
    let limits = budget::plan(&args.stopping, &plan, part)?;
    let drain = drain::listen(args.stopping.drain_at).map_err(|error| fault(&error.into()))?;
    let fingerprint = Fingerprint::of(&plan);
    let hash = fingerprint.hash.as_str().into();
    let selection = selection(args, part)?;
    // The inputs first: a slip in their name makes no folder.
    feed::check(&args.inputs).map_err(|error| unreadable(args, &error))?;
    recording::check(args, &plan, part)?;
    let mut services = services(args, &plan, cancel)?;
    let mut folder = match args.out.as_path() {
        out if out == Path::new("-") => None,
        out => Some(open(args, out, &plan, fingerprint, (part, parts), cancel)?),
    };
    services.budget = budget::of_batch(limits, folder.as_ref());
    let sink = sink(folder.as_ref(), cancel)?;
    let reports = kept_reports(args)?;
    services.recording.as_deref().map_or(Ok(()), begin)?;
    if let Some(folder) = &mut folder {
        folder.began();
    }
    let keys = folder.as_mut().map(|folder| std::mem::take(&mut folder.keys));
    let started = feed::start(&args.inputs, selection, keys.unwrap_or_default());
    let (inputs, read) = started.map_err(|error| unreadable(args, &error))?;
    Ok(Prepared {
        jobs: jobs(args, &plan),
        runner: Runner {
            plan: Arc::new(plan),
            spans: SpanQueue::start(&services.trace).map(Arc::new),
            services: Arc::new(services),
            scope: cancel.child(),
            events: Arc::new(drop),
            fingerprint: hash,
            reports,
            pulse: Arc::default(),
        },
        counting: folder.as_ref().map(|folder| Counting::start(&args.inputs, folder)),
        folder,
        sink,
        inputs,
        read,
        tally: Arc::default(),
        watch: Watch::new(args.stopping.max_failures),
        drain,
        patience: args.stopping.drain,
        is_estimate: args.inputs_args.estimate,
    })
}

/// What the runs of all inputs share.
fn services(
    args: &BatchRunArgs,
    plan: &CrewPlan,
    cancel: &Cancellation,
) -> Result<Services, Faults> {
    let rehearsal = rehearsal(&args.rehearsal, plan)?;
    let services = Services::rehearse(plan, cancel, process::raise_open_files(), rehearsal);
    let mut services = services.map_err(|error| fault(&error.into()))?;
    if args.messages {
        services.transcripts = Transcripts::Reported;
    }
    if args.selection.yes {
        services.approval = Approval::All;
    }
    Ok(services)
}

/// Nobody is asked in a batch: without `--yes`, a step that has to be confirmed fails each input.
fn check_approvals(args: &BatchRunArgs, plan: &CrewPlan) -> Result<(), Faults> {
    let asks = |agent: &&AgentPlan| agent.step().is_some_and(|step| step.confirm);
    match plan.agents.iter().find(asks).filter(|_| !args.selection.yes) {
        Some(agent) => {
            let message = format!("{} has to be confirmed, and a batch asks nobody", agent.name);
            let hint = "--yes runs it, and all tools, without a question".to_owned();
            Err(Faults::unplaced(None, message, Some(hint)))
        }
        None => Ok(()),
    }
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
    (part, parts): (Part, PinnedParts),
    cancel: &Cancellation,
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
    Folder::open(out, wanted, Options { part, retry, changed }, cancel).map_err(|error| {
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
