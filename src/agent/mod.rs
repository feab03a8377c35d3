//! Drives one agent: its time limit, its model calls with their retries, its tool calls side by
//! side. What it learns goes into its [`Ledger`] at once, so that nothing is lost however it ends.

mod attempt;
pub mod budget;
pub mod conversation;
mod fallback;
pub mod ledger;
mod model;
mod tools;

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::time::{Instant, timeout_at};

use self::fallback::Models;
use crate::agent::budget::{Budget, LongestAnswers};
use crate::agent::conversation::{Conversation, Ending, Step};
use crate::agent::ledger::{End, Ledger};
use crate::approval::Consent;
use crate::cancel::Cancellation;
use crate::chat::ToolSpec;
use crate::plan::{AgentPlan, CrewPlan, ModelPlan};
use crate::process::processes::Processes;
use crate::provider::Provider;
use crate::provider::governor::Governor;
use crate::provider::offline::Offline;
use crate::report::{AgentError, CancelKind, ErrorKind, Event, EventSink};
use crate::secret::Secrets;
use crate::template::{AnswerContext, Template, TemplateError, agent_context};
use crate::tool::http::HttpClients;
use crate::tool::mcp::Servers;

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
    pub processes: Arc<Processes>,
    pub servers: Servers,
    pub http: &'a HttpClients,
    /// In the order of [`CrewPlan::providers`].
    pub providers: &'a [Arc<dyn Provider>],
    /// In the same order.
    pub governors: Vec<Arc<Governor>>,
    pub secrets: &'a Secrets,
    pub events: &'a EventSink,
    pub consent: &'a Consent,
    /// Model calls that were dropped because something was stopped.
    pub calls_cancelled: AtomicU64,
    pub budget: Budget,
    pub longest_answers: LongestAnswers,
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
    let own_deadline = Instant::now() + plan.settings.timeout;
    let driver = Driver {
        index,
        plan,
        context,
        ledger: &context.ledgers[index],
        scope: context.cancel.child(),
        budget: Budget::of_agent(plan.settings.budget),
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
        let tools = match self.equip().await {
            Ok(tools) => tools,
            Err(end) => return end,
        };
        let specs: Vec<ToolSpec> = tools.iter().map(|tool| tool.spec.clone()).collect();
        loop {
            let step = conversation.next();
            if let Step::CallModelAgain(complaint) = &step {
                self.ask_again(complaint);
            }
            match step {
                Step::CallModel | Step::CallModelAgain(_) => {
                    match self.call_model(&mut models, &conversation, &specs).await {
                        Ok(reply) => {
                            let ledger = self.ledger.open();
                            let text = ledger.output.as_deref().filter(|_| reply.has_text);
                            conversation.model_replied(text.unwrap_or_default(), reply);
                        }
                        Err(end) => return end,
                    }
                }
                Step::CallTools(calls) => match self.call_tools(&tools, &calls).await {
                    Ok(outputs) => conversation.tools_returned(outputs),
                    Err(end) => return end,
                },
                Step::Done(ending) => {
                    if let Err(end) = self.end(ending, &mut conversation, &mut models) {
                        return end;
                    }
                }
            }
        }
    }

    fn open_conversation(&self) -> Result<Conversation, TemplateError> {
        let plan = self.context.plan;
        // One after the other: they can be long, and are not held twice over.
        let outputs = self.plan.needs.iter().map(|&needed| {
            let report = self.context.ledgers[needed].open();
            let output = report.output.as_deref().unwrap_or_default();
            let answer = AnswerContext::new(output, report.data.as_ref());
            (plan.agents[needed].name.as_str(), answer)
        });
        let input = self.context.input;
        let values = LazyCell::new(|| agent_context(input, &plan.vars, outputs));
        let fill = |template: &Template| template.fill(input, || values.clone());
        let mut system = self.plan.system.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
        system.extend(self.plan.output_schema.iter().map(|schema| schema.instruction()));
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        let conversation =
            Conversation::new(system, fill(&self.plan.prompt)?, self.plan.settings.max_turns);
        Ok(match &self.plan.output_schema {
            Some(schema) => conversation.expecting(schema.clone(), self.plan.settings.retries),
            None => conversation,
        })
    }

    fn conclude(&self, ending: Ending) -> End {
        match ending {
            Ending::Answer => {
                self.ledger.open().partial = false;
                End::Succeeded
            }
            Ending::Data(value) => {
                let mut ledger = self.ledger.open();
                ledger.data = Some(self.context.secrets.redact_value(value));
                ledger.partial = false;
                End::Succeeded
            }
            Ending::Misfit(complaint) => {
                let message = format!("the answer cannot be used: {complaint}");
                failed(ErrorKind::InvalidResponse, message)
            }
            Ending::OutOfTurns => {
                let turns = self.plan.settings.max_turns;
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
