//! What every step of an agent's work uses.

use std::sync::atomic::AtomicUsize;

use serde_json::Value;
use tokio::time::Instant;

use super::ledger::{End, Failure};
use super::run::{AgentRun, RunContext};
use crate::approval::{Decision, Detail, Question};
use crate::budget::Budget;
use crate::cancel::Cancellation;
use crate::report::{CancelKind, ErrorKind, Event};
use crate::telemetry::{SpanContext, SpanId};
use crate::untrusted::Untrusted;

/// Drives one agent. `life` holds its loop; `model`, `attempt`, `fallback` and `tools` its steps.
pub(super) struct Driver<'a> {
    pub run: &'a AgentRun<'a>,
    /// The runs of the agents that it needs, which have ended.
    pub needed: &'a [&'a AgentRun<'a>],
    pub context: &'a RunContext<'a>,
    pub scope: Cancellation,
    pub budget: Budget,
    /// The earlier of the agent's and the run's.
    pub deadline: Instant,
    /// Messages of the conversation that are in the transcript.
    pub recorded: AtomicUsize,
}

impl Driver<'_> {
    /// The end of an agent whose scope was stopped.
    pub fn stopped(&self) -> End {
        End::Stopped(self.scope.reason().unwrap_or_else(|| CancelKind::AgentTimeout.into()))
    }

    /// Asks whether a program or a request may run; `None` if the agent was stopped meanwhile.
    pub async fn approval(
        &self,
        tool: &str,
        mut details: Vec<Detail>,
        arguments: &Value,
    ) -> Option<Decision> {
        let secrets = &self.context.services.secrets;
        for line in details.iter_mut().flat_map(|detail| &mut detail.lines) {
            *line = secrets.redact(std::mem::take(line));
        }
        let agent = self.run.name();
        let question = Question { agent: &agent, tool, details: &details, arguments };
        tokio::select! {
            biased;
            () = self.scope.cancelled() => None,
            decision = self.context.services.approval.ask(question) => Some(decision),
        }
    }

    /// The agent's span.
    pub fn span(&self) -> SpanId {
        let root = self.context.services.trace.root;
        root.agent(&self.context.run_id, &self.run.name())
    }

    /// The place in the trace of what runs within a span.
    pub fn within(&self, span: SpanId) -> SpanContext<'_> {
        self.context.services.trace.within(span)
    }

    pub fn emit(&self, event: Event) {
        (self.context.events)(event);
    }
}

pub(super) fn failed(kind: ErrorKind, message: impl Into<Untrusted>) -> End {
    End::Failed(Failure::new(kind, message))
}
