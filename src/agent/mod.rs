//! Drives one agent: its time limit, its model calls with their retries, its tool calls side by
//! side. What it learns goes into its [`Ledger`] at once, so that nothing is lost however it ends.

mod attempt;
mod fallback;
mod model;
mod tools;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::{Instant, timeout_at};

use self::fallback::Models;
use crate::budget::Budget;
use crate::cancel::Cancellation;
use crate::conversation::{Conversation, Ending, Step};
use crate::ledger::{End, Ledger};
use crate::plan::template::{Template, TemplateError, agent_context};
use crate::plan::{AgentPlan, CrewPlan, ModelPlan};
use crate::provider::governor::Governor;
use crate::provider::offline::Offline;
use crate::provider::{Provider, ToolSpec};
use crate::report::{AgentError, CancelKind, ErrorKind, Event, EventSink};
use crate::secret::Secrets;
use crate::tool::process::Processes;

/// What the agents of one run share.
pub struct RunContext<'a> {
    pub plan: &'a CrewPlan,
    pub input: &'a str,
    pub cancel: &'a Cancellation,
    pub started: Instant,
    /// The run's.
    pub deadline: Instant,
    /// One for each agent, in the plan's order.
    pub ledgers: Vec<Ledger>,
    pub processes: Processes,
    /// In the order of [`CrewPlan::providers`].
    pub providers: &'a [Arc<dyn Provider>],
    /// In the same order.
    pub governors: Vec<Arc<Governor>>,
    pub secrets: &'a Secrets,
    pub events: &'a EventSink,
    /// Model calls that were dropped because something was stopped.
    pub calls_cancelled: AtomicU64,
    pub budget: Budget,
}

impl RunContext<'_> {
    /// Who answers for a model, and the model's name there.
    fn provider<'m>(&self, model: &'m ModelPlan) -> (&dyn Provider, &'m str) {
        match model {
            ModelPlan::Offline => (&Offline, model.label()),
            ModelPlan::Remote { provider, model, .. } => (&*self.providers[*provider], model),
        }
    }

    /// Who says when a model may be called; nobody has to for `offline`.
    fn governor(&self, model: &ModelPlan) -> Option<&Governor> {
        match model {
            ModelPlan::Offline => None,
            ModelPlan::Remote { provider, .. } => Some(&self.governors[*provider]),
        }
    }
}

/// Runs an agent until it has an answer, has failed, its time is up, or the run is stopped.
pub async fn run(index: usize, context: &RunContext<'_>) -> End {
    let plan = &context.plan.agents[index];
    let own_deadline = Instant::now() + plan.timeout;
    let driver = Driver {
        index,
        plan,
        context,
        ledger: &context.ledgers[index],
        scope: context.cancel.child(),
        budget: Budget::of_agent(plan.budget),
        deadline: own_deadline.min(context.deadline),
    };
    let mut work = std::pin::pin!(driver.drive());
    // By reference: when the time is up the work is still there to be stopped in good order.
    if let Ok(end) = timeout_at(own_deadline, &mut work).await {
        return end;
    }
    driver.scope.cancel(CancelKind::AgentTimeout);
    work.await
}

struct Driver<'a> {
    index: usize,
    plan: &'a AgentPlan,
    context: &'a RunContext<'a>,
    ledger: &'a Ledger,
    scope: Cancellation,
    budget: Budget,
    /// The earlier of the agent's and the run's.
    deadline: Instant,
}

impl Driver<'_> {
    async fn drive(&self) -> End {
        let mut conversation = match self.open_conversation() {
            Ok(conversation) => conversation,
            Err(error) => return failed(ErrorKind::Template, error.to_string()),
        };
        let mut models = Models::of(self.plan);
        let tools: Vec<ToolSpec> = self.plan.tools.iter().map(|tool| tool.spec.clone()).collect();
        loop {
            match conversation.next() {
                Step::CallModel => {
                    match self.call_model(&mut models, &conversation, &tools).await {
                        Ok(reply) => {
                            let ledger = self.ledger.open();
                            let text = ledger.output.as_deref().filter(|_| reply.has_text);
                            conversation.model_replied(text.unwrap_or_default(), reply);
                        }
                        Err(end) => return end,
                    }
                }
                Step::CallTools(calls) => match self.call_tools(&calls).await {
                    Ok(outputs) => conversation.tools_returned(outputs),
                    Err(end) => return end,
                },
                Step::Done(ending) => return self.conclude(ending),
            }
        }
    }

    fn open_conversation(&self) -> Result<Conversation, TemplateError> {
        let plan = self.context.plan;
        // One after the other: they can be long, and are not held twice over.
        let outputs = self.plan.needs.iter().map(|&needed| {
            let output = self.context.ledgers[needed].open().output.clone();
            (plan.agents[needed].name.as_str(), output.unwrap_or_default().into())
        });
        let values = agent_context(self.context.input, &plan.vars, outputs);
        let fill = |template: &Template| template.render(values.clone());
        let system = self.plan.system.iter().map(fill).collect::<Result<Vec<_>, _>>()?.join("\n\n");
        let system = (!system.is_empty()).then_some(system);
        Ok(Conversation::new(system, fill(&self.plan.prompt)?, self.plan.max_turns))
    }

    fn conclude(&self, ending: Ending) -> End {
        match ending {
            Ending::Answer => {
                self.ledger.open().partial = false;
                End::Succeeded
            }
            Ending::Empty => {
                let finish = self.ledger.open().finish_reason.clone();
                let finish = finish.as_deref().unwrap_or("none").to_owned();
                let message = format!("the model answered nothing (finish_reason: {finish})");
                failed(ErrorKind::InvalidResponse, message)
            }
            Ending::OutOfTurns => {
                let turns = self.plan.max_turns;
                let message =
                    format!("no answer after {turns} model calls: it asked for more tools");
                failed(ErrorKind::MaxTurns, message)
            }
        }
    }

    fn stopped(&self) -> End {
        End::Stopped(self.scope.reason().unwrap_or_else(|| CancelKind::AgentTimeout.into()))
    }

    fn tell(&self, event: Event) {
        (self.context.events)(event);
    }
}

fn failed(kind: ErrorKind, message: String) -> End {
    End::Failed(AgentError { kind, scope: None, message })
}
