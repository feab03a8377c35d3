//! The models of one agent: the one that is asked, and those that stand in for it.

use super::Driver;
use crate::agent::conversation::{Conversation, Ending};
use crate::agent::ledger::End;
use crate::plan::{AgentPlan, ModelPlan};
use crate::report::{AgentError, Event, FailedModel};

/// Once one has failed, the agent stays with the next, also in its later turns.
pub(super) struct Models<'a> {
    pub current: &'a ModelPlan,
    others: std::slice::Iter<'a, ModelPlan>,
}

impl<'a> Models<'a> {
    pub fn of(plan: &'a AgentPlan) -> Self {
        Self { current: &plan.model, others: plan.fallbacks.iter() }
    }
}

impl Driver<'_> {
    /// The agent's end, unless its model's answer was of no use and there is another model to ask.
    pub(super) fn end(
        &self,
        ending: Ending,
        conversation: &mut Conversation,
        models: &mut Models<'_>,
    ) -> Result<(), End> {
        let is_useless = matches!(ending, Ending::Misfit(_));
        match self.conclude(ending) {
            End::Failed(error)
                if is_useless && conversation.ask_another(self.plan.settings.retries) =>
            {
                self.fall_back(models, error, true).map_err(End::Failed)
            }
            end => Err(end),
        }
    }

    /// Goes on to the next model; the error, if there is none. `told_text`: the output is what the
    /// model has told.
    pub(super) fn fall_back(
        &self,
        models: &mut Models<'_>,
        error: AgentError,
        told_text: bool,
    ) -> Result<(), AgentError> {
        let Some(next) = models.others.next() else { return Err(error) };
        let from = std::mem::replace(&mut models.current, next).label().to_owned();
        let to = next.label().to_owned();
        let message = self.context.secrets.redact(error.message.clone());
        {
            let mut ledger = self.ledger.open();
            // What one model has begun is not the beginning of what another one says.
            let output = told_text.then(|| ledger.output.take()).flatten();
            ledger.partial &= output.is_none();
            ledger.finish_reason = None;
            ledger.model.clone_from(&to);
            ledger.fallbacks.push(FailedModel { model: from.clone(), error, output });
        }
        self.tell(Event::FellBack { agent: self.index, from, to, error: message });
        Ok(())
    }
}
