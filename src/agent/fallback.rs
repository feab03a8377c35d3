//! The models of one agent: the one that is asked, and those that stand in for it.

use super::Driver;
use super::model::Failure;
use crate::plan::{AgentPlan, ModelPlan};
use crate::report::{Event, FailedModel};

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
    /// Goes on to the next model; the failure, if there is none.
    pub(super) fn fall_back(
        &self,
        models: &mut Models<'_>,
        failure: Failure,
    ) -> Result<(), Failure> {
        let Some(next) = models.others.next() else { return Err(failure) };
        let from = std::mem::replace(&mut models.current, next).label().to_owned();
        let to = next.label().to_owned();
        let error = failure.error.message.clone();
        {
            let mut ledger = self.ledger.open();
            // What one model has begun is not the beginning of what another one says.
            let output = failure.told_text.then(|| ledger.output.take()).flatten();
            ledger.partial &= output.is_none();
            ledger.finish_reason = None;
            ledger.model.clone_from(&to);
            let error = failure.error.into();
            ledger.fallbacks.push(FailedModel { model: from.clone(), error, output });
        }
        self.tell(Event::FellBack { agent: self.index, from, to, error });
        Ok(())
    }
}
