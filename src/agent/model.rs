//! One turn of an agent: its model call, with the attempts it takes.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::Driver;
use super::fallback::Models;
use crate::agent::conversation::Conversation;
use crate::agent::ledger::End;
use crate::chat::{ChatReply, ToolSpec};
use crate::plan::ModelPlan;
use crate::provider::governor::Governor;
use crate::provider::{Effect, ProviderError};
use crate::report::{AgentError, Event};

/// The first pause between two attempts; each next one is twice as long, plus jitter.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl Driver<'_> {
    /// One turn: attempts until one succeeds or no other is worth while, of one model after the
    /// other.
    pub(super) async fn call_model(
        &self,
        models: &mut Models<'_>,
        conversation: &Conversation,
        tools: &[ToolSpec],
    ) -> Result<ChatReply, End> {
        let turn = self.ledger.open().turns + 1;
        loop {
            let call = Call { turn, model: models.current, conversation, tools };
            match self.ask(&call).await? {
                Ok(reply) => return Ok(reply),
                Err(failure) => self
                    .fall_back(models, failure.error.into(), failure.told_text)
                    .map_err(End::Failed)?,
            }
        }
    }

    /// Asks one model. `Err` is the agent's end, the inner error only this model's.
    async fn ask(&self, call: &Call<'_>) -> Result<Result<ChatReply, Failure>, End> {
        let mut retries =
            Retries::new(self.plan.settings.retries, self.context.governor(call.model));
        loop {
            let mut failure = match self.attempt(call).await? {
                Ok(reply) => return Ok(Ok(reply)),
                Err(failure) => failure,
            };
            let Some(delay) = retries.next(&failure.error) else { return Ok(Err(failure)) };
            if Instant::now() + delay >= self.deadline {
                failure.error.message.push_str(&format!(
                    " (not tried again: the next attempt is due in {:.1}s, after the time limit)",
                    delay.as_secs_f64()
                ));
                return Ok(Err(failure));
            }
            self.pause(delay, &failure.error).await?;
        }
    }

    /// The model is about to be called again because its answer did not fit.
    pub(super) fn ask_again(&self, complaint: &str) {
        let attempt = {
            let mut ledger = self.ledger.open();
            ledger.retries += 1;
            ledger.retries
        };
        let error = self.context.secrets.redact(format!("the answer cannot be used: {complaint}"));
        let delay = Duration::ZERO;
        self.tell(Event::Retrying { agent: self.index, attempt, delay, error });
    }

    async fn pause(&self, delay: Duration, error: &ProviderError) -> Result<(), End> {
        let attempt = {
            let mut ledger = self.ledger.open();
            ledger.retries += 1;
            ledger.retries
        };
        let message = error.message.clone();
        self.tell(Event::Retrying { agent: self.index, attempt, delay, error: message });
        if error.effect == Effect::Pause {
            // The endpoint is paused for all: its queue is where to wait.
            return Ok(());
        }
        tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            () = sleep(delay) => Ok(()),
        }
    }
}

/// What is asked of a model.
pub(super) struct Call<'a> {
    pub turn: u32,
    pub model: &'a ModelPlan,
    pub conversation: &'a Conversation,
    pub tools: &'a [ToolSpec],
}

/// Why a model has not answered.
pub(super) struct Failure {
    pub error: ProviderError,
    /// It had begun to: the output is what it has told.
    pub told_text: bool,
}

/// The attempts that one call has left.
struct Retries<'a> {
    delays: ExponentialBackoff,
    governor: Option<&'a Governor>,
    /// Calls the endpoint had answered by the attempt before.
    answered: u64,
}

impl<'a> Retries<'a> {
    fn new(most: u32, governor: Option<&'a Governor>) -> Self {
        let delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_RETRY)
            .with_max_delay(LONGEST_RETRY)
            .with_max_times(most as usize)
            .with_jitter()
            .build();
        let answered = governor.map(Governor::answered).unwrap_or_default();
        Self { delays, governor, answered }
    }

    /// How long to wait before the next attempt; `None`: there is to be none.
    fn next(&mut self, error: &ProviderError) -> Option<Duration> {
        if !error.retryable {
            return None;
        }
        let Some(governor) = self.governor.filter(|_| error.effect == Effect::Pause) else {
            return self.delays.next().map(|delay| error.retry_after.unwrap_or(delay));
        };
        // One of many refusals by a server that does answer others is no failed attempt: this
        // agent's turn will come, or its time limit.
        let gets_on =
            governor.answered() > std::mem::replace(&mut self.answered, governor.answered());
        let may_go_on = gets_on || self.delays.next().is_some();
        may_go_on.then(|| governor.pause())
    }
}

impl From<ProviderError> for AgentError {
    fn from(error: ProviderError) -> Self {
        Self { kind: error.kind, scope: error.scope, message: error.message }
    }
}
