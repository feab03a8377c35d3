//! The report of one agent while it is being written: whatever becomes of the agent, what it had
//! reached stands here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::plan::AgentPlan;
use crate::report::{
    AgentError, AgentReport, AgentStatus, CancelKind, CancelReason, ErrorKind, Scope, Usage, millis,
};

/// How an agent ended.
#[derive(Debug)]
pub enum End {
    Succeeded,
    Failed(AgentError),
    Stopped(CancelReason),
    /// An agent it needs did not succeed, for this reason.
    Skipped(CancelReason),
}

#[derive(Debug)]
pub struct Ledger(Mutex<AgentReport>);

impl Ledger {
    pub fn new(agent: &AgentPlan) -> Self {
        Self(Mutex::new(AgentReport {
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
            started_ms: None,
            duration_ms: 0,
            turns: 0,
            retries: 0,
            queued_ms: 0,
            usage: Usage::default(),
            tool_calls: Vec::new(),
            notes: Vec::new(),
        }))
    }

    /// A panic elsewhere does not make what stands in it untrue.
    pub fn open(&self) -> MutexGuard<'_, AgentReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn into_report(self) -> AgentReport {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the agent's end, and how long it took if it had started.
    pub fn close(&self, end: End, plan: &AgentPlan, run_timeout: Duration, run_started: Instant) {
        let (status, error, reason) = verdict(end, plan.settings.timeout, run_timeout);
        let mut report = self.open();
        report.status = status;
        report.error = error;
        report.reason = reason;
        let now = millis(run_started.elapsed());
        report.duration_ms = report.started_ms.map_or(0, |started| now.saturating_sub(started));
    }
}

type Verdict = (AgentStatus, Option<AgentError>, Option<CancelReason>);

fn verdict(end: End, agent_timeout: Duration, run_timeout: Duration) -> Verdict {
    let timed_out = |scope, limit: Duration| {
        let message = format!("no answer within {limit:?}");
        let error = AgentError { kind: ErrorKind::Timeout, scope: Some(scope), message };
        (AgentStatus::TimedOut, Some(error), None)
    };
    match end {
        End::Succeeded => (AgentStatus::Succeeded, None, None),
        End::Failed(error) if error.kind == ErrorKind::Timeout => {
            (AgentStatus::TimedOut, Some(error), None)
        }
        End::Failed(error) => (AgentStatus::Failed, Some(error), None),
        End::Stopped(reason) => match reason.kind {
            CancelKind::AgentTimeout => timed_out(Scope::Agent, agent_timeout),
            CancelKind::Timeout => timed_out(Scope::Run, run_timeout),
            _ => (AgentStatus::Cancelled, None, Some(reason)),
        },
        End::Skipped(reason) => (AgentStatus::Skipped, None, Some(reason)),
    }
}
