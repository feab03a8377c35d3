//! Runs the inputs of a batch: many at once, each a run of its own on shared services.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use super::feed::{Job, Next, Totals};
use super::line::Line;
use super::pulse::{self, Pulse};
use super::reports;
use super::run_file::FileError;
use super::sink::{Kept, Sink};
use super::stop::{Done, Stop, Watch};
use super::tally::Tally;
use crate::cancel::Cancellation;
use crate::engine;
use crate::plan::CrewPlan;
use crate::report::{AgentReport, CancelKind, ErrorKind, EventSink, Report, RunStatus, Usage};
use crate::services::Services;
use crate::telemetry::SpanQueue;

/// How long a batch that was asked to stop waits for the end of its inputs.
const LAST_LOOK: Duration = Duration::from_millis(300);
/// How often a batch that waits looks whether another input may start.
const TICK: Duration = Duration::from_millis(10);
/// Inputs that run for each call that may wait for its turn.
const RUNNING_PER_WAITING: usize = 8;

/// What the runs of a batch share.
#[derive(Clone)]
pub struct Runner {
    pub plan: Arc<CrewPlan>,
    pub services: Arc<Services>,
    /// Stops all runs.
    pub scope: Cancellation,
    pub events: EventSink,
    /// The fingerprint of the crew.
    pub fingerprint: Arc<str>,
    /// The folder for the full report of each input.
    pub reports: Option<Arc<PathBuf>>,
    pub spans: Option<Arc<SpanQueue>>,
    pub pulse: Arc<Pulse>,
}

/// How many inputs run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// This many, whatever the servers accept.
    Fixed(usize),
    /// As many as the governors admit, and at most this many.
    Governed(usize),
}

/// A batch at work.
pub struct Window<'a> {
    pub runner: Runner,
    pub inputs: mpsc::Receiver<Next>,
    pub sink: &'a mut Sink,
    pub tally: Arc<Mutex<Tally>>,
    pub jobs: Jobs,
    pub watch: Watch,
    /// Asks the batch to stop.
    pub drain: Arc<Notify>,
    /// How long inputs may still run once no further one starts.
    pub patience: Duration,
}

/// How far a batch came.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why some inputs did not start; `None` if all have.
    pub stop: Option<Stop>,
    /// The inputs in all, if they were read to their end.
    pub totals: Option<Totals>,
    /// Lines that could not be written, and where they were kept instead.
    pub kept: Option<Kept>,
}

impl Window<'_> {
    /// Runs the inputs until they end or something stops the batch, and waits for those that run.
    pub async fn run(mut self) -> Outcome {
        let mut running = JoinSet::new();
        let mut outcome = Outcome::default();
        let mut deadline = None;
        loop {
            let is_open = outcome.stop.is_none() && outcome.totals.is_none();
            if !is_open && running.is_empty() {
                break;
            }
            let is_taken = self.sink.has_room();
            let has_room = is_open && is_taken && self.has_room(running.len());
            let is_governed = matches!(self.jobs, Jobs::Governed(_));
            let is_waiting = is_open && !has_room && (is_governed || !is_taken);
            self.runner.pulse.beat();
            let scope = &self.runner.scope;
            let stop = tokio::select! {
                biased;
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    let ended = ended.unwrap_or_else(|panicked| {
                        std::panic::resume_unwind(panicked.into_panic())
                    });
                    self.ended(ended, &mut outcome.kept).err()
                }
                () = scope.cancelled(), if outcome.stop.is_none() => Some(Stop::Cancelled),
                () = self.drain.notified(), if outcome.stop.is_none() => Some(Stop::Drained),
                () = until(deadline), if deadline.is_some() && !running.is_empty() => {
                    deadline = None;
                    scope.cancel(CancelKind::Drained);
                    None
                }
                next = self.inputs.recv(), if has_room => {
                    self.take(next, &mut running, &mut outcome).await.err()
                }
                () = tokio::time::sleep(if is_waiting { TICK } else { pulse::BEAT }) => None,
            };
            if let Some(stop) = stop.filter(|_| outcome.stop.is_none()) {
                deadline = Some(Instant::now() + self.patience);
                if let Stop::Write(_) = stop {
                    // No answer can be kept any more.
                    self.runner.scope.cancel(CancelKind::OutputClosed);
                }
                outcome.stop = Some(stop);
            }
        }
        self.look_for_end(&mut outcome).await;
        outcome
    }

    /// Whether another input may start.
    fn has_room(&self, running: usize) -> bool {
        match self.jobs {
            Jobs::Fixed(most) => running < most,
            Jobs::Governed(most) => {
                let governors = self.runner.services.governors.iter();
                let waiting: usize = governors.map(|governor| governor.waiting()).sum();
                running < most && waiting <= running / RUNNING_PER_WAITING
            }
        }
    }

    /// Starts the next input, or writes the line of one that cannot be used.
    ///
    /// # Errors
    /// A reason to stop.
    async fn take(
        &mut self,
        next: Option<Next>,
        running: &mut JoinSet<Done>,
        outcome: &mut Outcome,
    ) -> Result<(), Stop> {
        match next {
            Some(Next::Run(job)) => {
                running.spawn(run_one(self.runner.clone(), *job));
                // The run makes its first call, which the governors count.
                tokio::task::yield_now().await;
            }
            Some(Next::Unusable(line)) => self.ended(Done::of(*line), &mut outcome.kept)?,
            Some(Next::End(totals)) => outcome.totals = Some(totals?),
            None => return Err(Stop::Cancelled),
        }
        Ok(())
    }

    /// Writes the line of an input that has ended.
    ///
    /// # Errors
    /// A reason to stop.
    fn ended(&mut self, done: Done, kept: &mut Option<Kept>) -> Result<(), Stop> {
        if let Err(error) = self.sink.append(&done.line) {
            kept.get_or_insert_default().add(&done.line);
            return Err(error.into());
        }
        let tally = {
            let mut tally = self.tally.lock();
            tally.add(&done.line);
            *tally
        };
        if let Some(error) = done.unreported {
            return Err(error.into());
        }
        if let Some(stop) = self.watch.note(&done, &tally) {
            return Err(stop);
        }
        self.runner.services.budget.check().map_err(Stop::Budget)
    }

    /// A batch that was asked to stop when all its inputs had started has no work left.
    async fn look_for_end(&mut self, outcome: &mut Outcome) {
        let is_whole = self.tally.lock().cancelled == 0;
        if let Some(Stop::Drained | Stop::Budget(_)) = outcome.stop {
            if outcome.totals.is_none()
                && let Ok(Some(Next::End(Ok(totals)))) =
                    timeout(LAST_LOOK, self.inputs.recv()).await
            {
                outcome.totals = Some(totals);
            }
            if outcome.totals.is_some() && is_whole {
                outcome.stop = None;
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Runs one input to its line. One that fails while crew was suspended runs again: its time went on
/// meanwhile.
async fn run_one(runner: Runner, job: Job) -> Done {
    let Runner { plan, services, scope, events, fingerprint, reports, pulse, spans } = &runner;
    let (mut attempts, mut spent) = (job.attempts, Usage::default());
    let report = loop {
        let gaps = pulse.gaps();
        // Its own scope: an agent that fails stops the agents of its run only.
        let report = engine::run(plan, &job.input, services, &scope.child(), events).await;
        if let Some(spans) = spans {
            spans.add(&report);
        }
        let has_failed = matches!(report.status, RunStatus::Failed | RunStatus::TimedOut);
        if !has_failed || pulse.gaps() == gaps || scope.is_cancelled() {
            break report;
        }
        attempts += 1;
        spent += report.usage;
    };
    let mut line = Line::of(job.key, job.index, &report, spent);
    line.attempts += attempts;
    line.content = Some(job.content);
    line.fingerprint = fingerprint.to_string();
    let is_refused = is_refused(&report);
    let unreported = match reports {
        Some(folder) => keep(folder.clone(), line.key.clone(), report).await.err(),
        None => None,
    };
    Done { line, is_refused, unreported }
}

/// Writes the full report of an input, which its line waits for. A disk takes its time to sync.
async fn keep(folder: Arc<PathBuf>, key: String, report: Report) -> Result<(), FileError> {
    let written = spawn_blocking(move || reports::write(&folder, &key, &report)).await;
    written.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
}

/// Whether an agent failed for a reason that all inputs share.
fn is_refused(report: &Report) -> bool {
    let failed = report.agents.iter().flat_map(AgentReport::with_instances);
    let mut errors = failed.filter_map(|agent| agent.error.as_ref());
    errors.any(|error| error.kind == ErrorKind::Auth || error.used_up)
}
