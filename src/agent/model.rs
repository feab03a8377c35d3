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
use crate::provider::governor::Governor;
use crate::provider::{Effect, ProviderError};
use crate::report::Event;
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
            let call = Call { turn, model: models.current, conversation, tools };
            match self.call_with_retries(&call).await {
                Ok(reply) => return Ok(reply),
                Err(CallError::Agent(end)) => return Err(end),
                Err(CallError::Call(failed)) => {
                    self.fall_back(models, failed.error.into(), failed.has_text)?;
                }
            }
        }
    }

    async fn call_with_retries(&self, call: &Call<'_>) -> Result<Reply, CallError> {
        let mut retries =
            Retries::new(self.run.plan.settings.retries, self.context.governor(call.model));
        loop {
            let mut failed = match self.attempt(call).await {
                Err(CallError::Call(failed)) => failed,
                end => return end,
            };
            let Some(delay) = retries.next(&failed.error) else { return Err(failed.into()) };
            if Instant::now() + delay >= self.deadline {
                let wait = delay.as_secs_f64();
                failed.error.message.push_str(&format!(
                    " (not tried again: the next attempt is due in {wait:.1}s, after the time \
                     limit)"
                ));
                return Err(failed.into());
            }
            self.pause(delay, &failed.error).await?;
        }
    }

    /// Reports that the model is about to be called again because its answer did not fit.
    pub(super) fn report_correction(&self, complaint: &str) {
        self.report_retry(Duration::ZERO, format!("the answer cannot be used: {complaint}").into());
    }

    async fn pause(&self, delay: Duration, error: &ProviderError) -> Result<(), End> {
        self.report_retry(delay, error.message.clone());
        if error.effect == Effect::Pause {
            // The endpoint is paused for all: the call waits in its queue.
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            () = sleep(delay) => Ok(()),
        }
    }

    fn report_retry(&self, delay: Duration, why: Untrusted) {
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
    /// How many calls the endpoint had answered by the attempt before.
    answered: u64,
}

impl<'a> Retries<'a> {
    fn new(max_retries: u32, governor: Option<&'a Governor>) -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_RETRY_DELAY)
            .with_max_delay(MAX_RETRY_DELAY)
            .with_max_times(max_retries as usize)
            .with_jitter()
            .build();
        let answered = governor.map(Governor::answered).unwrap_or_default();
        Self { delays, governor, answered }
    }

    /// How long to wait before the next attempt; `None` if there is none.
    fn next(&mut self, error: &ProviderError) -> Option<Duration> {
        if !error.retryable {
            return None;
        }
        let Some(governor) = self.governor.filter(|_| error.effect == Effect::Pause) else {
            return self.delays.next().map(|delay| error.retry_after.unwrap_or(delay));
        };
        // A rejection by a server that answers others is no failed attempt: this agent's turn will
        // come, or its time limit.
        let answered = governor.answered();
        let answers_others = answered > self.answered;
        self.answered = answered;
        let may_go_on = answers_others || self.delays.next().is_some();
        may_go_on.then(|| governor.pause())
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self { kind: error.kind, scope: error.scope, message: error.message }
    }
}
