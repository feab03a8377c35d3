//! The report of one agent while it is being written: however the agent ends, what it had reached
//! by then is here.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::time::Instant;

use crate::plan::{AgentPlan, Parse, Work};
use crate::report::{
    AgentError, AgentKind, AgentReport, AgentStatus, CancelKind, CancelReason, ErrorKind, Scope,
    millis,
};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// How an agent ended.
#[derive(Debug)]
pub enum End {
    Succeeded,
    Failed(Failure),
    Stopped(CancelReason),
    /// Its condition is false, or an agent that it needs did not succeed, for this reason.
    Skipped(CancelReason),
}

/// Why an agent, or one of its models, failed.
#[derive(Debug)]
pub struct Failure {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    pub message: Untrusted,
    /// The account's credit or quota is used up.
    pub used_up: bool,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<Untrusted>) -> Self {
        Self { kind, scope: None, message: message.into(), used_up: false }
    }

    /// The error for the report. Parts of secrets go as well: a server's words may have been cut.
    pub fn redact(self, secrets: &Secrets) -> AgentError {
        let message = self.message.redact_excerpt(secrets);
        AgentError { kind: self.kind, scope: self.scope, message, used_up: self.used_up }
    }
}

/// What an agent has reached so far.
#[derive(Debug)]
pub struct Ledger(Mutex<Draft>);

/// A report without its `output`, which streams in and is redacted as a whole when the agent ends:
/// a secret may be split over two pieces.
#[derive(Debug)]
pub struct Draft {
    pub report: AgentReport,
    pub output: Option<Untrusted>,
}

impl Ledger {
    pub fn new(agent: &AgentPlan) -> Self {
        let (kind, model) = match &agent.work {
            Work::Model(work) => (AgentKind::Model, work.model.label().to_owned()),
            Work::Step(_) => (AgentKind::Step, String::new()),
        };
        let mut report = AgentReport::new(agent.name.clone(), kind, model);
        let has_data = match agent.step() {
            Some(step) => step.parse != Parse::Text,
            None => agent.output_schema.is_some(),
        };
        report.data = has_data.then_some(Value::Null);
        Self(Mutex::new(Draft { report, output: None }))
    }

    /// The draft. It is used also after a panic elsewhere, which does not make it wrong.
    pub fn open(&self) -> MutexGuard<'_, Draft> {
        self.0.lock()
    }

    /// Takes the report of an agent that has ended.
    pub fn take_report(&self) -> AgentReport {
        let mut draft = self.open();
        let AgentReport { name, kind, .. } = &draft.report;
        let empty = AgentReport::new(name.clone(), *kind, String::new());
        std::mem::replace(&mut draft.report, empty)
    }

    pub fn into_report(self) -> AgentReport {
        self.0.into_inner().report
    }

    /// Enters the agent's end, how long it took if it had started, and its redacted output.
    pub fn close(
        &self,
        end: End,
        plan: &AgentPlan,
        run_timeout: Duration,
        run_started: Instant,
        secrets: &Secrets,
    ) {
        let (status, failure, reason) = verdict(end, plan.settings.timeout, run_timeout);
        let mut draft = self.open();
        let output = draft.output.take();
        let report = &mut draft.report;
        report.output = output.map(|output| match report.partial {
            true => output.redact_beginning(secrets),
            false => output.redact(secrets),
        });
        report.status = status;
        report.error = failure.map(|failure| failure.redact(secrets));
        report.reason = reason;
        let now = millis(run_started.elapsed());
        report.duration_ms = report.started_ms.map_or(0, |started| now.saturating_sub(started));
    }
}

type Verdict = (AgentStatus, Option<Failure>, Option<CancelReason>);

fn verdict(end: End, agent_timeout: Duration, run_timeout: Duration) -> Verdict {
    let timed_out = |scope, limit: Duration| {
        let message = format!("no answer within {limit:?}");
        let failure = Failure { scope: Some(scope), ..Failure::new(ErrorKind::Timeout, message) };
        (AgentStatus::TimedOut, Some(failure), None)
    };
    match end {
        End::Succeeded => (AgentStatus::Succeeded, None, None),
        End::Failed(failure) if failure.kind == ErrorKind::Timeout => {
            (AgentStatus::TimedOut, Some(failure), None)
        }
        End::Failed(failure) => (AgentStatus::Failed, Some(failure), None),
        End::Stopped(reason) => match reason.kind {
            CancelKind::AgentTimeout => timed_out(Scope::Agent, agent_timeout),
            CancelKind::Timeout => timed_out(Scope::Run, run_timeout),
            _ => (AgentStatus::Cancelled, None, Some(reason)),
        },
        End::Skipped(reason) => (AgentStatus::Skipped, None, Some(reason)),
    }
}
