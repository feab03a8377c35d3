//! What agents work with: the unit between plan and report, and what the agents of a run share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use minijinja::Value;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use super::ledger::Ledger;
use crate::budget::Budget;
use crate::cancel::Cancellation;
use crate::plan::{AgentPlan, CrewPlan, ModelPlan};
use crate::process::RunProcesses;
use crate::provider::Provider;
use crate::provider::governor::Governor;
use crate::report::{AgentReport, AgentRunId, EventSink};
use crate::services::Services;
use crate::template::RunInput;

/// One agent at work in one run, or one instance of an agent with `for_each`.
#[derive(Debug)]
pub struct AgentRun<'a> {
    /// Identifies it in events.
    pub id: AgentRunId,
    pub plan: &'a AgentPlan,
    pub ledger: Ledger,
    /// Set when the agent has ended and its ledger is closed.
    pub ended: SetOnce<()>,
    /// Stops it together with others.
    pub scope: Cancellation,
    /// What the templates of an instance see. `None`: what the agents it needs have answered.
    pub values: Option<Value>,
}

impl<'a> AgentRun<'a> {
    pub fn new(id: AgentRunId, plan: &'a AgentPlan, scope: Cancellation) -> Self {
        let ledger = Ledger::new(plan);
        Self { id, plan, ledger, ended: SetOnce::new(), scope, values: None }
    }

    /// Ends the run with the report of an earlier one, if there is one.
    pub fn take_over(&self, earlier: Option<&AgentReport>) {
        if let Some(earlier) = earlier {
            self.ledger.open().report = earlier.clone();
            // It fails only for a run that has ended before.
            let _ = self.ended.set(());
        }
    }

    /// The agent's name; that of an instance is followed by its key in brackets.
    pub fn name(&self) -> String {
        self.ledger.open().report.name.clone()
    }
}

/// What the agents of one run share.
pub struct RunContext<'a> {
    pub run_id: String,
    pub plan: &'a CrewPlan,
    pub input: &'a RunInput,
    pub services: &'a Services,
    pub cancel: &'a Cancellation,
    pub events: &'a EventSink,
    pub started: Instant,
    /// The end of the run's time limit.
    pub deadline: Instant,
    pub processes: Arc<RunProcesses>,
    /// Model calls that were dropped because something was stopped.
    pub calls_cancelled: AtomicU64,
    /// The same for requests of HTTP tools.
    pub http_calls_cancelled: AtomicU64,
    pub budget: Budget,
}

impl RunContext<'_> {
    /// The provider of a model, and the model's name there.
    pub fn provider<'m>(&self, model: &'m ModelPlan) -> (&dyn Provider, &'m str) {
        match model {
            ModelPlan::Offline => (&*self.services.offline, model.label()),
            ModelPlan::Remote { provider, model, .. } => {
                (&*self.services.providers[*provider], model)
            }
        }
    }

    /// The governor of a model's endpoint; `offline` has none.
    pub fn governor(&self, model: &ModelPlan) -> Option<&Governor> {
        match model {
            ModelPlan::Offline => None,
            ModelPlan::Remote { provider, .. } => Some(&self.services.governors[*provider]),
        }
    }
}
