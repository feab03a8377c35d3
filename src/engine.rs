//! Runs a plan: all agents at once inside one time limit, each waiting for what it needs, and one
//! report at the end, whatever happens.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};
use tokio::time::{Instant, timeout};

use crate::agent::{self, End, Ledger};
use crate::cancel::Cancellation;
use crate::exit;
use crate::plan::{CrewPlan, ModelPlan, OnFailure};
use crate::provider::Provider;
use crate::provider::offline::Offline;
use crate::report::{
    AgentError, AgentReport, AgentStatus, CancelKind, CancelReason, Cleanup, ErrorKind, Event,
    EventSink, Report, SCHEMA_VERSION, Usage,
};
use crate::secret::Secrets;
use crate::tool::millis;
use crate::tool::process::Processes;

/// What stopping may take beyond the grace: killing, reaping and the last bytes of output.
const MARGIN: Duration = Duration::from_millis(450);

/// What a run needs besides its plan.
pub struct Services {
    /// In the order of [`CrewPlan::providers`].
    pub providers: Vec<Arc<dyn Provider>>,
    pub secrets: Secrets,
    pub events: EventSink,
}

/// What the agents of one run share.
pub struct RunContext<'a> {
    pub plan: &'a CrewPlan,
    pub input: &'a str,
    pub cancel: &'a Cancellation,
    pub started: Instant,
    /// The run's.
    pub deadline: Instant,
    pub ledgers: Vec<Ledger>,
    pub processes: Processes,
    pub secrets: &'a Secrets,
    pub events: &'a EventSink,
    providers: &'a [Arc<dyn Provider>],
    calls_cancelled: AtomicU64,
    /// Set when the agent of that index has ended and its ledger is closed.
    ended: Vec<SetOnce<()>>,
    places: Semaphore,
}

impl RunContext<'_> {
    /// Who answers for a model, and the model's name there.
    pub fn provider<'m>(&self, model: &'m ModelPlan) -> (&dyn Provider, &'m str) {
        match model {
            ModelPlan::Offline => (&Offline, "offline"),
            ModelPlan::Remote { provider, model, .. } => (&*self.providers[*provider], model),
        }
    }

    pub fn count_cancelled_call(&self) {
        self.calls_cancelled.fetch_add(1, Ordering::Relaxed);
    }
}

/// An agent was ended twice: a fault of crew's own.
#[derive(Debug, thiserror::Error)]
#[error("agent number {0} ended twice")]
struct EndedTwice(usize);

/// Runs the plan. Ends at the latest its time limit, the grace and a second after it was started,
/// or the grace and half a second after `cancel`.
pub async fn run(
    plan: &CrewPlan,
    input: &str,
    cancel: &Cancellation,
    services: &Services,
) -> Report {
    let clock = jiff::Timestamp::now();
    let started = Instant::now();
    let context = RunContext {
        plan,
        input,
        cancel,
        started,
        deadline: started + plan.limits.timeout,
        ledgers: plan.agents.iter().map(Ledger::new).collect(),
        processes: Processes::new(cancel.clone(), plan.limits.grace),
        secrets: &services.secrets,
        events: &services.events,
        providers: &services.providers,
        calls_cancelled: AtomicU64::new(0),
        ended: plan.agents.iter().map(|_| SetOnce::new()).collect(),
        places: Semaphore::new(plan.limits.max_parallel.unwrap_or(Semaphore::MAX_PERMITS)),
    };
    let cleanup_took = join(&context).await;
    context.report(clock, cleanup_took)
}

/// Runs every agent to its end, and stops them when that is called for. Returns how long what came
/// after the agents' work took.
async fn join(context: &RunContext<'_>) -> Duration {
    let limits = &context.plan.limits;
    let mut agents = std::pin::pin!(try_join_all(
        (0..context.plan.agents.len()).map(|index| one(index, context))
    ));
    // By reference: when the time is up the agents are still there to be stopped in good order.
    let undisturbed = timeout(limits.timeout, async {
        tokio::select! {
            biased;
            result = &mut agents => Some(result),
            () = context.cancel.cancelled() => None,
        }
    });
    let result = undisturbed.await.unwrap_or_else(|_elapsed| {
        context.cancel.cancel(CancelKind::Timeout);
        None
    });
    let work_ended = Instant::now();
    if result.is_none() {
        if let Some(reason) = context.cancel.reason() {
            (context.events)(Event::Stopping { reason, grace: limits.grace });
        }
        // Beyond this nothing is waited for: the agents are dropped, and their ledgers tell.
        let _in_time = timeout(limits.grace + MARGIN, &mut agents).await;
    }
    let _in_time = timeout(limits.grace + MARGIN, context.processes.ended()).await;
    work_ended.elapsed()
}

/// One agent from waiting for its needs to its closed ledger. Every ending is `Ok`: an `Err` would
/// make the join drop the others.
async fn one(index: usize, context: &RunContext<'_>) -> Result<(), EndedTwice> {
    let plan = &context.plan.agents[index];
    let life = async {
        let _place = match place(index, context).await {
            Ok(place) => place,
            Err(end) => return end,
        };
        context.ledgers[index].open().started_ms = Some(millis(context.started.elapsed()));
        (context.events)(Event::AgentStarted { agent: index });
        agent::run(index, context).await
    };
    let end = AssertUnwindSafe(life).catch_unwind().await.unwrap_or_else(|panic| {
        let message = format!("crew's own fault, please report it: {}", panic_text(&*panic));
        End::Failed(AgentError { kind: ErrorKind::Internal, scope: None, message })
    });
    let (status, duration, error) = {
        let mut report = context.ledgers[index].open();
        agent::close(&mut report, end, plan, context.plan.limits.timeout);
        let duration = agent::age(&report, context.started);
        report.duration_ms = millis(duration);
        (report.status, duration, report.error.as_ref().map(|error| error.message.clone()))
    };
    (context.events)(Event::AgentFinished { agent: index, status, duration, message: error });
    let failed = matches!(status, AgentStatus::Failed | AgentStatus::TimedOut);
    if failed && context.plan.limits.on_failure == OnFailure::Cancel {
        context.cancel.cancel(CancelReason::agent_failed(&plan.name));
    }
    context.ended[index].set(()).map_err(|_| EndedTwice(index))
}

/// Waits until the agent may start: its needs have succeeded and there is a place for it.
async fn place<'a>(index: usize, context: &'a RunContext<'_>) -> Result<SemaphorePermit<'a>, End> {
    let plan = &context.plan.agents[index];
    let ready = async {
        join_all(plan.needs.iter().map(|&needed| context.ended[needed].wait())).await;
        if let Some(reason) = plan.needs.iter().find_map(|&needed| obstacle(needed, context)) {
            return Err(End::Skipped(reason));
        }
        context.places.acquire().await.map_err(|_closed| stopped(context))
    };
    tokio::select! {
        biased;
        ready = ready => match ready {
            // From the moment of a stop on nothing starts, however ready it is.
            Ok(_) if context.cancel.is_cancelled() => Err(stopped(context)),
            ready => ready,
        },
        () = context.cancel.cancelled() => Err(stopped(context)),
    }
}

/// Why an agent that has ended is in the way of those that need it.
fn obstacle(needed: usize, context: &RunContext<'_>) -> Option<CancelReason> {
    let report = context.ledgers[needed].open();
    match report.status {
        AgentStatus::Succeeded => None,
        AgentStatus::Failed | AgentStatus::TimedOut => {
            Some(CancelReason::agent_failed(&report.name))
        }
        // The root of it, not the last link of the chain.
        AgentStatus::Cancelled | AgentStatus::Skipped => {
            Some(report.reason.clone().unwrap_or_else(|| CancelReason::agent_failed(&report.name)))
        }
    }
}

fn stopped(context: &RunContext<'_>) -> End {
    End::Stopped(context.cancel.reason().unwrap_or_else(|| CancelKind::Interrupted.into()))
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

impl RunContext<'_> {
    fn report(self, clock: jiff::Timestamp, cleanup_took: Duration) -> Report {
        let reason = self.cancel.reason();
        let agents: Vec<AgentReport> = self
            .ledgers
            .iter()
            .zip(&self.ended)
            .zip(&self.plan.agents)
            .map(|((ledger, ended), plan)| {
                let mut report = ledger.open();
                if ended.get().is_none() {
                    // Dropped before it could say how it ended.
                    let reason = reason.clone().unwrap_or_else(|| CancelKind::Timeout.into());
                    agent::close(&mut report, End::Stopped(reason), plan, self.plan.limits.timeout);
                    report.duration_ms = millis(agent::age(&report, self.started));
                }
                redacted(report.clone(), self.secrets)
            })
            .collect();
        let (status, exit_code) = exit::verdict(reason.as_ref().map(|reason| reason.kind), &agents);
        let mut usage = Usage::default();
        agents.iter().for_each(|agent| usage += agent.usage);
        Report {
            schema_version: SCHEMA_VERSION,
            run_id: uuid::Uuid::now_v7().to_string(),
            crew: self.plan.name.clone(),
            status,
            exit_code,
            reason,
            started_at: format!("{clock:.3}"),
            duration_ms: millis(self.started.elapsed()),
            input: self.input.to_owned(),
            usage,
            agents,
            cleanup: Cleanup {
                model_calls_cancelled: self.calls_cancelled.load(Ordering::Relaxed),
                processes_stopped: self.processes.stopped(),
                processes_killed: self.processes.killed(),
                survivors: Vec::new(),
                duration_ms: millis(cleanup_took),
            },
        }
    }
}

/// Models and servers repeat what they were sent.
fn redacted(mut report: AgentReport, secrets: &Secrets) -> AgentReport {
    report.output = report.output.map(|output| secrets.redact(output));
    if let Some(error) = &mut report.error {
        error.message = secrets.redact(std::mem::take(&mut error.message));
    }
    report
}
