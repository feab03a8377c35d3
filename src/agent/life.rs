//! The life of one agent: the loop over its conversation's steps, inside its time limit.

use std::sync::atomic::AtomicUsize;

use tokio::time::{Instant, timeout_at};

use super::conversation::{Conversation, Ending, Step};
use super::driver::{Driver, failed};
use super::fallback::Models;
use super::ledger::End;
use super::opening::{Opening, OpeningError};
use super::run::{AgentRun, RunContext};
use super::values::values;
use crate::budget::Budget;
use crate::chat::ToolSpec;
use crate::plan::{ModelWork, Work};
use crate::report::{CancelKind, ErrorKind};
use crate::template::Wait;

/// Runs an agent until it has an answer, has failed, its time is up, or the run is stopped.
/// `needed` are the runs of the agents that it needs, which have ended.
pub async fn run(run: &AgentRun<'_>, needed: &[&AgentRun<'_>], context: &RunContext<'_>) -> End {
    let own_deadline = Instant::now() + run.plan.settings.timeout;
    let driver = Driver {
        run,
        needed,
        context,
        scope: run.scope.child(),
        budget: Budget::of_agent(run.plan.settings.budget),
        deadline: own_deadline.min(context.deadline),
        recorded: AtomicUsize::new(0),
    };
    let mut work = std::pin::pin!(driver.drive());
    // By reference: when the time is up, the work still exists and can be stopped in order.
    if let Ok(end) = timeout_at(own_deadline, &mut work).await {
        return end;
    }
    driver.scope.cancel(CancelKind::AgentTimeout);
    work.await
}

impl Driver<'_> {
    async fn drive(&self) -> End {
        match &self.run.plan.work {
            Work::Model(work) => self.converse(work).await,
            // Boxed, like a check: their futures are larger than those of a conversation.
            Work::Step(step) => Box::pin(self.run_step(step)).await,
        }
    }

    async fn converse(&self, work: &ModelWork) -> End {
        let opened = tokio::select! {
            biased;
            opened = self.open_conversation(work) => opened,
            () = self.scope.cancelled() => return self.stopped(),
        };
        let mut conversation = match opened {
            Ok(conversation) => conversation,
            Err(error) => return failed(ErrorKind::Template, error.to_string()),
        };
        let mut models = Models::of(work);
        let tools = match self.equip(work).await {
            Ok(tools) => tools,
            Err(end) => return end,
        };
        let specs: Vec<ToolSpec> = tools.iter().map(|tool| tool.spec.clone()).collect();
        loop {
            let step = conversation.next();
            if let Step::CallModelAgain(complaint) = &step {
                self.note_whole_answer();
                self.report_correction(complaint);
            }
            match step {
                Step::CallModel | Step::CallModelAgain(_) => {
                    match self.call_model(&mut models, &conversation, &specs).await {
                        Ok(reply) => {
                            let draft = self.run.ledger.open();
                            let text = draft.output.as_ref().filter(|_| reply.has_text);
                            let text = text.map(|text| text.to_its_source()).unwrap_or_default();
                            conversation.model_replied(text, reply);
                        }
                        Err(end) => return end,
                    }
                }
                Step::CallTools(calls) => {
                    let is_cut = conversation.is_cut();
                    match self.call_tools(&tools, &calls, is_cut).await {
                        Ok(outputs) => conversation.tools_returned(outputs),
                        Err(end) => return end,
                    }
                }
                Step::Done(ending) => {
                    match self.is_accepted(work, &ending, &mut conversation).await {
                        Ok(true) => {}
                        Ok(false) => continue,
                        Err(end) => return end,
                    }
                    if let Err(end) = self.end(ending, &mut conversation, &mut models) {
                        return end;
                    }
                }
            }
        }
    }

    async fn open_conversation(&self, work: &ModelWork) -> Result<Conversation, OpeningError> {
        let agent = self.run.plan;
        let input = self.context.input;
        let values = || values(self.run, self.needed, self.context);
        let Opening { system, prompt, files } =
            Opening::of(agent, work, input, values, Wait::Task).await?;
        let mut conversation =
            Conversation::new(system, prompt, agent.settings.max_turns).attaching(files);
        if work.check.is_some() {
            conversation = conversation.checked();
        }
        Ok(match &agent.output_schema {
            Some(schema) => conversation.expecting(schema.clone(), agent.settings.retries),
            None => conversation,
        })
    }

    /// Whether the agent's check accepts an answer; `false`: the model is to answer again.
    async fn is_accepted(
        &self,
        work: &ModelWork,
        ending: &Ending,
        conversation: &mut Conversation,
    ) -> Result<bool, End> {
        let Some(check) = &work.check else { return Ok(true) };
        let answer = match ending {
            Ending::Answer => {
                let draft = self.run.ledger.open();
                let text = draft.output.as_ref().map(|text| text.to_its_source());
                text.unwrap_or_default().to_owned()
            }
            Ending::Data(value) => value.to_string(),
            Ending::Mismatch(_) | Ending::OutOfTurns { .. } => return Ok(true),
        };
        Box::pin(self.check_answer(check, &answer, conversation)).await
    }

    /// Notes that the answer is whole, although it cannot be used, unless the model was cut off.
    fn note_whole_answer(&self) {
        let report = &mut self.run.ledger.open().report;
        report.partial &= report.finish_reason.as_deref() == Some("length");
    }

    fn conclude(&self, ending: Ending) -> End {
        match ending {
            Ending::Answer => {
                self.run.ledger.open().report.partial = false;
                End::Succeeded
            }
            Ending::Data(value) => {
                let report = &mut self.run.ledger.open().report;
                report.data = Some(self.context.services.secrets.redact_value(value));
                report.partial = false;
                End::Succeeded
            }
            Ending::Mismatch(complaint) => {
                self.note_whole_answer();
                let message = format!("the answer cannot be used: {complaint}");
                failed(ErrorKind::InvalidResponse, message)
            }
            Ending::OutOfTurns { is_cut } => {
                let turns = self.run.plan.settings.max_turns;
                let why = match is_cut {
                    true => "max_output_tokens cut off its last tool call; raise it",
                    false => "it asked for more tools",
                };
                let message = format!("no answer after {turns} model calls: {why}");
                failed(ErrorKind::MaxTurns, message)
            }
        }
    }

    /// Ends the agent, unless its model's answer cannot be used and another model can be asked.
    fn end(
        &self,
        ending: Ending,
        conversation: &mut Conversation,
        models: &mut Models<'_>,
    ) -> Result<(), End> {
        let is_mismatch = matches!(ending, Ending::Mismatch(_));
        match self.conclude(ending) {
            End::Failed(failure)
                if is_mismatch && conversation.ask_another(self.run.plan.settings.retries) =>
            {
                self.fall_back(models, failure, true)
            }
            end => Err(end),
        }
    }
}
