//! The models of one agent: the one that is asked, and those to fall back on.

use super::driver::Driver;
use super::ledger::{End, Failure};
use crate::plan::{ModelPlan, ModelWork};
use crate::report::{Event, FailedModel};

/// Once a model has failed, the agent stays with the next one, also in its later turns.
pub(super) struct Models<'a> {
    pub current: &'a ModelPlan,
    others: std::slice::Iter<'a, ModelPlan>,
    /// The current one is not the first of the list.
    pub is_fallback: bool,
}

impl<'a> Models<'a> {
    pub fn of(work: &'a ModelWork) -> Self {
        Self { current: &work.model, others: work.fallbacks.iter(), is_fallback: false }
    }
}

impl Driver<'_> {
    /// Goes on to the next model. `has_text`: the ledger's output is what the failed one wrote.
    ///
    /// # Errors
    /// There is no next model: the agent fails.
    pub(super) fn fall_back(
        &self,
        models: &mut Models<'_>,
        failure: Failure,
        has_text: bool,
    ) -> Result<(), End> {
        let Some(next) = models.others.next() else { return Err(End::Failed(failure)) };
        let from = std::mem::replace(&mut models.current, next).label().to_owned();
        models.is_fallback = true;
        let to = next.label().to_owned();
        let secrets = &self.context.services.secrets;
        let error = failure.redact(secrets);
        let message = error.message.clone();
        {
            let mut draft = self.run.ledger.open();
            // The beginning of one model's answer is not the beginning of another's.
            let output = if has_text { draft.output.take() } else { None };
            let report = &mut draft.report;
            report.partial &= output.is_none();
            report.finish_reason = None;
            report.model.clone_from(&to);
            let output = output.map(|output| output.redact(secrets));
            report.fallbacks.push(FailedModel { model: from.clone(), error, output });
        }
        self.emit(Event::FellBack { agent: self.run.id, from, to, error: message });
        Ok(())
    }
}
