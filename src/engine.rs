//! Runs a plan: all agents at once inside one time limit, each waiting for what it needs, and one
//! report at the end, whatever happens.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::agent::{self, AgentRun, End, Failure, RunContext};
use crate::budget::Budget;
use crate::cancel::Cancellation;
use crate::exit;
use crate::plan::{CrewPlan, Limits, Need, OnFailure};
use crate::report::{
    AgentReport, AgentRunId, AgentStatus, CancelKind, CancelReason, Cleanup, ErrorKind, Event,
    EventSink, Report, SCHEMA_VERSION, Usage, millis,
};
use crate::services::{STOP_MARGIN, Services};
use crate::template::RunInput;
use crate::untrusted::Untrusted;
use instances::Instances;

mod instances;
mod result;
mod reuse;

pub use reuse::{Earlier, Reuse, Why};

/// A run: its agents, what they share, and what holds them together.
struct Run<'a> {
    context: RunContext<'a>,
    /// One for each agent, in the plan's order.
    agents: Vec<AgentRun<'a>>,
    /// Of each agent, in the same order.
    instances: Vec<Instances<'a>>,
    /// The id of the next instance.
    next_id: AtomicUsize,
    /// For `max_parallel`.
    places: Semaphore,
    reuse: &'a Reuse,
}

/// Runs the plan once. Ends at the latest its time limit, the grace and half a second after it was
/// started, or the grace and half a second after `cancel`. The services go on: when they are
/// closed, [`settle`] completes the report.
pub async fn run(
    plan: &CrewPlan,
    input: &RunInput,
    services: &Services,
    cancel: &Cancellation,
    events: &EventSink,
) -> Report {
    rerun(plan, input, services, cancel, events, &Reuse::default()).await
}

/// Like [`run`], without the agents and instances whose earlier reports it takes over.
pub async fn rerun(
    plan: &CrewPlan,
    input: &RunInput,
    services: &Services,
    cancel: &Cancellation,
    events: &EventSink,
    reuse: &Reuse,
) -> Report {
    let clock = jiff::Timestamp::now();
    let started = Instant::now();
    let agents = plan.agents.iter().enumerate();
    let run = Run {
        context: RunContext {
            run_id: uuid::Uuid::now_v7().to_string(),
            plan,
            input,
            services,
            cancel,
            events,
            started,
            deadline: started + plan.limits.timeout,
            processes: Arc::new(services.processes.for_run(cancel.clone(), plan.limits.grace)),
            calls_cancelled: AtomicU64::new(0),
            http_calls_cancelled: AtomicU64::new(0),
            budget: Budget::of_run(plan.budget),
        },
        agents: agents
            .map(|(id, agent)| AgentRun::new(AgentRunId(id), agent, cancel.clone()))
            .inspect(|agent| agent.take_over(reuse.agent(&agent.plan.name)))
            .collect(),
        instances: plan.agents.iter().map(|_| Instances::default()).collect(),
        next_id: AtomicUsize::new(plan.agents.len()),
        places: Semaphore::new(plan.limits.max_parallel.unwrap_or(Semaphore::MAX_PERMITS)),
        reuse,
    };
    let cleanup_took = run.join().await;
    run.report(clock, cleanup_took)
}

/// Adds to a report what closing the services took. A process that survived it changes the exit
/// code.
pub fn settle(report: &mut Report, closing: Cleanup) {
    report.duration_ms += closing.duration_ms;
    report.cleanup += closing;
    let reason = report.reason.as_ref().map(|reason| reason.kind);
    let (status, exit) =
        exit::verdict(reason, &report.agents, report.fail_if.as_ref(), &report.cleanup.survivors);
    report.status = status;
    report.exit_code = exit.code();
}

impl<'a> Run<'a> {
    /// Runs every agent to its end, and stops them when that is called for. Returns how long it
    /// took to clean up after their work.
    async fn join(&self) -> Duration {
        let Limits { timeout: limit, grace, .. } = self.context.plan.limits;
        let cancel = self.context.cancel;
        let agents = self.agents.iter().map(|agent| self.one(agent));
        let mut agents = std::pin::pin!(try_join_all(agents));
        // By reference: when the time is up, the agents still exist and can be stopped in order.
        let undisturbed = timeout(limit, async {
            tokio::select! {
                biased;
                _all_ended = &mut agents => true,
                () = cancel.cancelled() => false,
            }
        });
        let undisturbed = undisturbed.await.unwrap_or_else(|_elapsed| {
            cancel.cancel(CancelKind::Timeout);
            false
        });
        let work_ended = Instant::now();
        let deadline = work_ended + grace + STOP_MARGIN;
        if !undisturbed {
            if let Some(reason) = cancel.reason() {
                (self.context.events)(Event::Stopping { reason, grace });
            }
            // Agents that take longer are dropped; their ledgers hold what they had reached.
            cancel.wait_for(deadline, &mut agents).await;
        }
        cancel.wait_for(deadline, self.context.processes.ended()).await;
        work_ended.elapsed()
    }

    /// One agent from waiting for its needs to its closed ledger. Every ending is `Ok`: an `Err`
    /// would make the join drop the others.
    async fn one(&self, agent: &AgentRun<'a>) -> Result<(), Infallible> {
        if agent.ended.get().is_some() {
            let status = agent.ledger.open().report.status;
            (self.context.events)(Event::AgentReused { agent: agent.id, status });
            return Ok(());
        }
        let needed = self.needed(agent);
        let life = async {
            if let Err(end) = self.ready(agent, &needed).await {
                return end;
            }
            match &agent.plan.for_each {
                Some(plan) => self.for_each(agent, plan, &needed).await,
                None => {
                    let Some(_place) = self.place(self.context.cancel).await else {
                        return self.stopped();
                    };
                    self.work(agent, &needed).await
                }
            }
        };
        let end = self.caught(life).await;
        self.collect(agent);
        self.finish(agent, end);
        let status = agent.ledger.open().report.status;
        let plan = &self.context.plan;
        let cancels = plan.limits.on_failure == OnFailure::Cancel && !agent.plan.needed_when_done;
        if status.is_failure() && cancels {
            self.context.cancel.cancel(CancelReason::agent_failed(&agent.plan.name));
        }
        // It fails only for an agent that had ended before, and each is run once.
        let _ = agent.ended.set(());
        Ok(())
    }

    /// An agent, or an instance, that has a place: its condition, then its work.
    async fn work(&self, agent: &AgentRun<'a>, needed: &[&AgentRun<'a>]) -> End {
        let RunContext { events, started, .. } = &self.context;
        if let Some(when) = &agent.plan.when {
            let held = tokio::select! {
                biased;
                held = when.holds_in_task(agent::values(agent, needed, &self.context)) => held,
                () = agent.scope.cancelled() => return self.stopped_by(&agent.scope),
            };
            match held {
                Ok(true) => {}
                Ok(false) => {
                    let expression = when.source().to_owned();
                    let expression = self.context.services.secrets.redact(expression);
                    return End::Skipped(CancelReason::condition_false(expression));
                }
                Err(error) => {
                    let message = format!("when: {error}");
                    return End::Failed(Failure::new(ErrorKind::Template, message));
                }
            }
        }
        agent.ledger.open().report.started_ms = Some(millis(started.elapsed()));
        events(Event::AgentStarted { agent: agent.id });
        agent::run(agent, needed, &self.context).await
    }

    /// The end of some work; a panic in it is a failure.
    ///
    /// Not async: such a function holds its argument twice.
    fn caught(&self, work: impl Future<Output = End>) -> impl Future<Output = End> {
        AssertUnwindSafe(work).catch_unwind().map(|ended| {
            ended.unwrap_or_else(|panic| {
                let message = format!("internal error (please report it): {}", panic_text(&*panic));
                End::Failed(Failure::new(ErrorKind::Internal, Untrusted::new(message)))
            })
        })
    }

    /// Closes the ledger of an agent or an instance and reports its end.
    fn finish(&self, agent: &AgentRun<'_>, end: End) {
        self.close(agent, end);
        let report = &agent.ledger.open().report;
        (self.context.events)(Event::AgentFinished {
            agent: agent.id,
            status: report.status,
            duration: Duration::from_millis(report.duration_ms),
            message: report.error.as_ref().map(|error| error.message.clone()),
            reason: report.reason.clone(),
        });
    }

    fn close(&self, agent: &AgentRun<'_>, end: End) {
        let RunContext { plan, services, started, .. } = &self.context;
        agent.ledger.close(end, agent.plan, plan.limits.timeout, *started, &services.secrets);
    }

    /// The runs of the agents that this one needs.
    fn needed(&self, agent: &AgentRun<'_>) -> Vec<&AgentRun<'a>> {
        agent.plan.needs.iter().map(|need| &self.agents[need.agent]).collect()
    }

    fn instances(&self, agent: &AgentRun<'_>) -> &Instances<'a> {
        &self.instances[agent.id.0]
    }

    fn next_id(&self) -> AgentRunId {
        AgentRunId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until the needs of an agent have ended as it wants them to.
    async fn ready(&self, agent: &AgentRun<'_>, needed: &[&AgentRun<'_>]) -> Result<(), End> {
        let ended = join_all(needed.iter().map(|needed| needed.ended.wait()));
        tokio::select! {
            biased;
            _all = ended => {}
            () = self.context.cancel.cancelled() => return Err(self.stopped()),
        }
        let needs = agent.plan.needs.iter().zip(needed).filter(|(need, _)| !need.done);
        match needs.map(|(_, needed)| *needed).find_map(obstacle) {
            Some(reason) => Err(End::Skipped(reason)),
            // From the moment of a stop on nothing starts, however ready it is.
            None if self.context.cancel.is_cancelled() => Err(self.stopped()),
            None => Ok(()),
        }
    }

    /// Waits until there is a place for an agent. `None` once the scope is stopped.
    async fn place(&self, scope: &Cancellation) -> Option<SemaphorePermit<'_>> {
        let place = tokio::select! {
            biased;
            () = scope.cancelled() => return None,
            place = self.places.acquire() => place.ok()?,
        };
        (!scope.is_cancelled()).then_some(place)
    }

    fn stopped(&self) -> End {
        self.stopped_by(self.context.cancel)
    }

    fn stopped_by(&self, scope: &Cancellation) -> End {
        // A scope that was stopped has a reason; the fallback only keeps this free of panics.
        let reason = scope.reason();
        End::Stopped(reason.unwrap_or_else(|| CancelKind::Timeout.into()))
    }

    fn report(self, clock: jiff::Timestamp, cleanup_took: Duration) -> Report {
        // An agent that was dropped could not close its ledger.
        for agent in self.agents.iter().filter(|agent| agent.ended.get().is_none()) {
            self.collect(agent);
            self.close(agent, self.stopped());
        }
        let Self { context, agents, .. } = self;
        let name = |need: &Need| context.plan.agents[need.agent].name.clone();
        let report = |agent: AgentRun<'_>| AgentReport {
            needs: agent.plan.needs.iter().map(name).collect(),
            ..agent.ledger.into_report()
        };
        let agents: Vec<AgentReport> = agents.into_iter().map(report).collect();
        let mut reason = context.cancel.reason();
        let secrets = &context.services.secrets;
        let is_complete = reason.is_none();
        let fail_if = result::fail_if(context.plan, context.input, &agents, is_complete, secrets);
        if fail_if.as_ref().is_some_and(|found| found.holds == Some(true) || found.error.is_some())
        {
            reason = Some(CancelKind::FailIf.into());
        }
        let kind = reason.as_ref().map(|reason| reason.kind);
        let (status, exit) = exit::verdict(kind, &agents, fail_if.as_ref(), &[]);
        let mut usage = Usage::default();
        agents.iter().for_each(|agent| usage += agent.usage);
        Report {
            schema_version: SCHEMA_VERSION,
            run_id: context.run_id,
            crew: context.plan.name.clone(),
            status,
            exit_code: exit.code(),
            reason,
            started_at: format!("{clock:.3}"),
            duration_ms: millis(context.started.elapsed()),
            input: secrets.redact(context.input.text().to_owned()),
            answer: result::answer(context.plan, &agents),
            answer_of: context.plan.output.map(|agent| context.plan.agents[agent].name.clone()),
            fail_if,
            usage,
            agents,
            cleanup: Cleanup {
                model_calls_cancelled: context.calls_cancelled.load(Ordering::Relaxed),
                http_calls_cancelled: context.http_calls_cancelled.load(Ordering::Relaxed),
                processes_stopped: context.processes.stopped(),
                processes_killed: context.processes.killed(),
                duration_ms: millis(cleanup_took),
                ..Cleanup::default()
            },
            rerun_of: None,
            invocation: None,
            fingerprint: None,
        }
    }
}

/// Why an agent that has ended keeps those that need it from starting.
fn obstacle(needed: &AgentRun<'_>) -> Option<CancelReason> {
    let report = &needed.ledger.open().report;
    match report.status {
        AgentStatus::Succeeded => None,
        AgentStatus::Failed | AgentStatus::TimedOut => {
            Some(CancelReason::agent_failed(&report.name))
        }
        // The first cause, not the last link of the chain.
        AgentStatus::Cancelled | AgentStatus::Skipped => {
            let mut reason = report.reason.clone()?;
            if reason.kind == CancelKind::When {
                reason.agent.get_or_insert_with(|| report.name.as_str().into());
            }
            Some(reason)
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
