//! One turn of an agent: its model call, with the attempts that it takes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::attempt::{Call, CallError};
use super::conversation::{Conversation, Reply};
use super::driver::Driver;
use super::fallback::Models;
use super::ledger::{End, Failure};
use crate::chat::ToolSpec;
use crate::plan::ModelPlan;
use crate::provider::ProviderError;
use crate::provider::governor::Governor;
use crate::report::{ErrorKind, Event};
use crate::untrusted::Untrusted;

/// The pause before the first retry. Each further pause is twice as long, plus jitter.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(250);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(30);

impl Driver<'_> {
    /// Takes one turn: retries a model while that is worthwhile, and goes on to the next model of
    /// the agent's list when it is not.
    pub(super) async fn call_model(
        &self,
        models: &mut Models<'_>,
        conversation: &Conversation,
        tools: &[ToolSpec],
    ) -> Result<Reply, End> {
        let turn = self.run.ledger.open().report.turns + 1;
        loop {
            let (model, is_fallback) = (models.current, models.is_fallback);
            let call = Call { turn, model, is_fallback, conversation, tools };
            match self.call_with_retries(&call).await {
                Ok(reply) => return Ok(reply),
                Err(CallError::Agent(end)) => return Err(end),
                // Another model is not recorded either, and would hide what is missing.
                Err(CallError::Call(failed)) if failed.error.kind == ErrorKind::NotRecorded => {
                    return Err(End::Failed(failed.error.into()));
                }
                Err(CallError::Call(failed)) => {
                    self.fall_back(models, failed.error.into(), failed.has_text)?;
                }
            }
        }
    }

    async fn call_with_retries(&self, call: &Call<'_>) -> Result<Reply, CallError> {
        let mut retries = Retries::new(self, call.model);
        let (began, calls_before) = (Instant::now(), self.model_calls());
        let mut has_text = false;
        loop {
            let mut failed = match self.attempt(call).await {
                Err(CallError::Call(failed)) => failed,
                end => return end,
            };
            // The text of an attempt stays until there is newer text.
            has_text |= failed.has_text;
            failed.has_text = has_text;
            let delay = retries.next(&failed.error);
            if let Some(delay) = delay.filter(|delay| Instant::now() + *delay < self.deadline) {
                self.pause(delay, &failed.error).await?;
                continue;
            }
            let message = &mut failed.error.message;
            let attempts = self.model_calls() - calls_before;
            if attempts > 1 {
                let took = began.elapsed().as_secs_f64();
                message.push_str(&format!(" (after {attempts} attempts in {took:.1}s)"));
            }
            if let Some(delay) = delay {
                let wait = delay.as_secs_f64();
                message.push_str(&format!(
                    " (not tried again: the next attempt is due in {wait:.1}s, after the time \
                     limit)"
                ));
            }
            return Err(failed.into());
        }
    }

    fn model_calls(&self) -> u64 {
        self.run.ledger.open().report.usage.model_calls
    }

    /// Reports that the model is about to be called again because its answer did not fit.
    pub(super) fn report_correction(&self, complaint: &str) {
        self.report_retry(Duration::ZERO, format!("the answer cannot be used: {complaint}").into());
    }

    async fn pause(&self, delay: Duration, error: &ProviderError) -> Result<(), End> {
        self.report_retry(delay, error.message.clone());
        if error.effect.is_pause() {
            // The model is paused for all agents: the call waits in its queue.
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            () = sleep(delay) => Ok(()),
        }
    }

    pub(super) fn report_retry(&self, delay: Duration, why: Untrusted) {
        let attempt = {
            let report = &mut self.run.ledger.open().report;
            report.retries += 1;
            report.retries
        };
        let error = why.redact(&self.context.services.secrets);
        self.emit(Event::Retrying { agent: self.run.id, attempt, delay, error });
    }
}

/// The attempts that one call has left.
struct Retries<'a> {
    delays: ExponentialBackoff,
    governor: Option<&'a Governor>,
    /// The model's name at its provider.
    model: &'a str,
    /// How many calls the model had answered by the attempt before.
    answered: u64,
}

impl<'a> Retries<'a> {
    fn new(driver: &'a Driver<'_>, model: &'a ModelPlan) -> Self {
        let max_retries = driver.run.plan.settings.retries;
        let governor = driver.context.governor(model);
        let (_, model) = driver.context.provider(model);
        let delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_RETRY_DELAY)
            .with_max_delay(MAX_RETRY_DELAY)
            .with_max_times(max_retries as usize)
            .with_jitter()
            .build();
        let answered = governor.map(|governor| governor.answered(model)).unwrap_or_default();
        Self { delays, governor, model, answered }
    }

    /// How long to wait before the next attempt; `None` if there is none.
    fn next(&mut self, error: &ProviderError) -> Option<Duration> {
        if !error.retryable {
            return None;
        }
        if error.is_recorded {
            return Some(Duration::ZERO);
        }
        let Some(governor) = self.governor.filter(|_| error.effect.is_pause()) else {
            return self.delays.next().map(|delay| error.retry_after.unwrap_or(delay));
        };
        // A rejection of a model that answers others is no failed attempt: this agent's turn will
        // come, or its time limit.
        let answered = governor.answered(self.model);
        let answers_others = answered > self.answered;
        self.answered = answered;
        let may_go_on = answers_others || self.delays.next().is_some();
        may_go_on.then(|| governor.pause(self.model))
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        let used_up = error.is_used_up();
        Self { kind: error.kind, scope: error.scope, message: error.message, used_up }
    }
}
