//! The report of one agent while it is being written: however the agent ends, what it had reached
//! by then is here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::plan::AgentPlan;
use crate::report::{
    AgentError, AgentReport, AgentStatus, CancelKind, CancelReason, ErrorKind, Scope, Usage, millis,
};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// How an agent ended.
#[derive(Debug)]
pub enum End {
    Succeeded,
    Failed(Failure),
    Stopped(CancelReason),
    /// An agent that it needs did not succeed, for this reason.
    Skipped(CancelReason),
}

/// Why an agent, or one of its models, failed.
#[derive(Debug)]
pub struct Failure {
    pub kind: ErrorKind,
    /// For timeouts.
    pub scope: Option<Scope>,
    pub message: Untrusted,
}

impl Failure {
    pub fn new(kind: ErrorKind, message: impl Into<Untrusted>) -> Self {
        Self { kind, scope: None, message: message.into() }
    }

    /// The error for the report. Parts of secrets go as well: a server's words may have been cut.
    pub fn redact(self, secrets: &Secrets) -> AgentError {
        let message = self.message.redact_excerpt(secrets);
        AgentError { kind: self.kind, scope: self.scope, message }
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
        let report = AgentReport {
            name: agent.name.clone(),
            status: AgentStatus::Cancelled,
            output: None,
            partial: false,
            data: agent.output_schema.as_ref().map(|_| Value::Null),
            error: None,
            reason: None,
            model: agent.model.label().to_owned(),
            fallbacks: Vec::new(),
            finish_reason: None,
            needs: Vec::new(),
            started_ms: None,
            duration_ms: 0,
            turns: 0,
            retries: 0,
            queued_ms: 0,
            usage: Usage::default(),
            tool_calls: Vec::new(),
            notes: Vec::new(),
        };
        Self(Mutex::new(Draft { report, output: None }))
    }

    /// The draft. It is used also after a panic elsewhere, which does not make it wrong.
    pub fn open(&self) -> MutexGuard<'_, Draft> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn into_report(self) -> AgentReport {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).report
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
        let output = draft.output.take().map(|output| output.redact(secrets));
        let report = &mut draft.report;
        report.output = output;
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
        let message = format!("no answer within {limit:?}").into();
        let failure = Failure { kind: ErrorKind::Timeout, scope: Some(scope), message };
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
