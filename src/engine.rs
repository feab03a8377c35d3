//! Runs a plan: all agents at once inside one time limit, each waiting for what it needs, and one
//! report at the end, whatever happens.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{join_all, try_join_all};
use tokio::sync::{Semaphore, SemaphorePermit, SetOnce};
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::agent::budget::{Budget, LongestAnswers};
use crate::agent::ledger::{End, Ledger};
use crate::agent::{self, RunContext};
use crate::approval::Approval;
use crate::cancel::Cancellation;
use crate::exit;
use crate::plan::{CrewPlan, Limits, OnFailure};
use crate::process::processes::{Farewell, Processes};
use crate::provider::{Provider, governor};
use crate::report::{
    AgentError, AgentReport, AgentStatus, CancelKind, CancelReason, Cleanup, ErrorKind, Event,
    EventSink, Report, SCHEMA_VERSION, Usage, millis,
};
use crate::secret::Secrets;
use crate::tool::http::HttpClients;
use crate::tool::mcp::{self, Servers};

/// What stopping may take beyond the grace: killing, reaping and the last bytes of output.
const MARGIN: Duration = Duration::from_millis(300);
/// What telling of it may still take once a third signal has called off all waiting.
const LAST_MOMENT: Duration = Duration::from_millis(50);

/// What a run needs besides its plan.
pub struct Services {
    /// In the order of [`CrewPlan::providers`].
    pub providers: Vec<Arc<dyn Provider>>,
    /// For the HTTP tools of the plan.
    pub http: HttpClients,
    pub secrets: Secrets,
    pub events: EventSink,
    /// For the tools that need it.
    pub approval: Approval,
    /// The soft limit of open files that tools are to have; `None`: that of this process.
    pub open_files: Option<u64>,
}

/// A run: what its agents share, and what holds them together.
struct Run<'a> {
    context: RunContext<'a>,
    /// Set when the agent of that index has ended and its ledger is closed.
    ended: Vec<SetOnce<()>>,
    /// For `max_parallel`.
    places: Semaphore,
}

/// Runs the plan. Ends at the latest its time limit, the grace and half a second after it was
/// started, or the grace and half a second after `cancel`.
pub async fn run(
    plan: &CrewPlan,
    input: &str,
    cancel: &Cancellation,
    services: &Services,
) -> Report {
    let clock = jiff::Timestamp::now();
    let started = Instant::now();
    let processes = Processes::new(cancel.clone(), plan.limits.grace, services.open_files);
    let processes = Arc::new(processes);
    let run = Run {
        context: RunContext {
            plan,
            input,
            cancel,
            started,
            deadline: started + plan.limits.timeout,
            ledgers: plan.agents.iter().map(Ledger::new).collect(),
            servers: Servers::new(plan, processes.clone(), cancel.clone()),
            processes,
            http: &services.http,
            providers: &services.providers,
            governors: governor::of(&plan.providers),
            secrets: &services.secrets,
            events: &services.events,
            approval: &services.approval,
            calls_cancelled: AtomicU64::new(0),
            budget: Budget::of_run(plan.budget),
            longest_answers: LongestAnswers::default(),
        },
        ended: plan.agents.iter().map(|_| SetOnce::new()).collect(),
        places: Semaphore::new(plan.limits.max_parallel.unwrap_or(Semaphore::MAX_PERMITS)),
    };
    let (farewell, took) = run.join().await;
    run.report(clock, farewell, took)
}

impl Run<'_> {
    /// Runs every agent to its end, and stops them when that is called for. Returns what is left
    /// of their tools, and how long what came after the agents' work took.
    async fn join(&self) -> (Farewell, Duration) {
        let Limits { timeout: limit, grace, .. } = self.context.plan.limits;
        let cancel = self.context.cancel;
        let agents = (0..self.context.plan.agents.len()).map(|index| self.one(index));
        let mut agents = std::pin::pin!(try_join_all(agents));
        // By reference: when the time is up the agents are still there to be stopped in good order.
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
        let deadline = work_ended + grace + MARGIN;
        if !undisturbed {
            if let Some(reason) = cancel.reason() {
                (self.context.events)(Event::Stopping { reason, grace });
            }
            // Beyond this nothing is waited for: the agents are dropped, and their ledgers tell.
            self.until(deadline, &mut agents).await;
        }
        // Servers that nobody waits for may leave by themselves first.
        let servers = if undisturbed { deadline + mcp::LEAVE } else { deadline };
        self.until(servers, self.context.servers.end()).await;
        self.until(deadline, self.context.processes.ended()).await;
        let farewell = self.context.processes.close().await;
        (farewell, work_ended.elapsed())
    }

    /// Waits for `work`, but not beyond the deadline, and hardly at all once the run is abandoned.
    async fn until(&self, deadline: Instant, work: impl Future) {
        let abandoned = async {
            self.context.cancel.abandoned().await;
            sleep(LAST_MOMENT).await;
        };
        tokio::select! {
            biased;
            _done = work => {}
            () = unconstrained(sleep_until(deadline)) => {}
            () = abandoned => {}
        }
    }

    /// One agent from waiting for its needs to its closed ledger. Every ending is `Ok`: an `Err`
    /// would make the join drop the others.
    async fn one(&self, index: usize) -> Result<(), Infallible> {
        let RunContext { plan, ledgers, events, cancel, started, secrets, .. } = &self.context;
        let (agent, ledger) = (&plan.agents[index], &ledgers[index]);
        let life = async {
            let _place = match self.place(index).await {
                Ok(place) => place,
                Err(end) => return end,
            };
            ledger.open().started_ms = Some(millis(started.elapsed()));
            events(Event::AgentStarted { agent: index });
            agent::run(index, &self.context).await
        };
        let end = AssertUnwindSafe(life).catch_unwind().await.unwrap_or_else(|panic| {
            let message = format!("crew's own fault, please report it: {}", panic_text(&*panic));
            End::Failed(AgentError { kind: ErrorKind::Internal, scope: None, message })
        });
        let end = match end {
            End::Failed(mut error) => {
                // What servers have said stands in it, and it is told at once.
                error.message = secrets.redact_output(error.message, true);
                End::Failed(error)
            }
            end => end,
        };
        ledger.close(end, agent, plan.limits.timeout, *started);
        let report = ledger.open();
        let failed = matches!(report.status, AgentStatus::Failed | AgentStatus::TimedOut);
        events(Event::AgentFinished {
            agent: index,
            status: report.status,
            duration: Duration::from_millis(report.duration_ms),
            message: report.error.as_ref().map(|error| error.message.clone()),
        });
        drop(report);
        if failed && plan.limits.on_failure == OnFailure::Cancel {
            cancel.cancel(CancelReason::agent_failed(&agent.name));
        }
        // It fails only for an agent that had ended before, and each is run once.
        let _ = self.ended[index].set(());
        Ok(())
    }

    /// Waits until the agent may start: its needs have succeeded and there is a place for it.
    async fn place(&self, index: usize) -> Result<SemaphorePermit<'_>, End> {
        let needs = &self.context.plan.agents[index].needs;
        let ready = async {
            join_all(needs.iter().map(|&needed| self.ended[needed].wait())).await;
            if let Some(reason) = needs.iter().find_map(|&needed| self.obstacle(needed)) {
                return Err(End::Skipped(reason));
            }
            self.places.acquire().await.map_err(|_closed| self.stopped())
        };
        let place = tokio::select! {
            biased;
            place = ready => place?,
            () = self.context.cancel.cancelled() => return Err(self.stopped()),
        };
        // From the moment of a stop on nothing starts, however ready it is.
        if self.context.cancel.is_cancelled() { Err(self.stopped()) } else { Ok(place) }
    }

    /// Why an agent that has ended is in the way of those that need it.
    fn obstacle(&self, needed: usize) -> Option<CancelReason> {
        let report = self.context.ledgers[needed].open();
        match report.status {
            AgentStatus::Succeeded => None,
            AgentStatus::Failed | AgentStatus::TimedOut => {
                Some(CancelReason::agent_failed(&report.name))
            }
            // The root of it, not the last link of the chain.
            AgentStatus::Cancelled | AgentStatus::Skipped => report.reason.clone(),
        }
    }

    fn stopped(&self) -> End {
        // A scope that was stopped has a reason; the fallback only keeps this free of panics.
        let reason = self.context.cancel.reason();
        End::Stopped(reason.unwrap_or_else(|| CancelKind::Timeout.into()))
    }

    fn report(
        mut self,
        clock: jiff::Timestamp,
        farewell: Farewell,
        cleanup_took: Duration,
    ) -> Report {
        let ledgers = std::mem::take(&mut self.context.ledgers);
        let agents: Vec<AgentReport> = ledgers
            .into_iter()
            .enumerate()
            .map(|(index, ledger)| self.agent_report(index, ledger))
            .collect();
        let context = &self.context;
        let reason = context.cancel.reason();
        let Farewell { mut survivors, guardian_lost } = farewell;
        for survivor in &mut survivors {
            survivor.command = context.secrets.redact(std::mem::take(&mut survivor.command));
        }
        let kind = reason.as_ref().map(|reason| reason.kind);
        let (status, exit) = exit::verdict(kind, &agents, &survivors);
        let mut usage = Usage::default();
        agents.iter().for_each(|agent| usage += agent.usage);
        Report {
            schema_version: SCHEMA_VERSION,
            run_id: uuid::Uuid::now_v7().to_string(),
            crew: context.plan.name.clone(),
            status,
            exit_code: exit.code(),
            reason,
            started_at: format!("{clock:.3}"),
            duration_ms: millis(context.started.elapsed()),
            input: context.input.to_owned(),
            usage,
            agents,
            cleanup: Cleanup {
                model_calls_cancelled: context.calls_cancelled.load(Ordering::Relaxed),
                http_calls_cancelled: context.http.cancelled(),
                processes_stopped: context.processes.stopped(),
                processes_killed: context.processes.killed(),
                survivors,
                guardian_lost,
                duration_ms: millis(cleanup_took),
            },
        }
    }

    /// What the ledger says, without secrets: models and servers repeat what they were sent.
    fn agent_report(&self, index: usize, ledger: Ledger) -> AgentReport {
        let RunContext { plan, secrets, started, .. } = &self.context;
        if self.ended[index].get().is_none() {
            // Dropped before it could say how it ended.
            ledger.close(self.stopped(), &plan.agents[index], plan.limits.timeout, *started);
        }
        let mut report = ledger.into_report();
        report.output = report.output.map(|output| secrets.redact(output));
        for note in &mut report.notes {
            *note = secrets.redact_output(std::mem::take(note), true);
        }
        for failed in &mut report.fallbacks {
            failed.output = failed.output.take().map(|output| secrets.redact(output));
            let message = std::mem::take(&mut failed.error.message);
            failed.error.message = secrets.redact(message);
        }
        report
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
