//! One turn of an agent: its model call, with the attempts it takes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep, timeout};

use super::Driver;
use super::fallback::Models;
use crate::conversation::Conversation;
use crate::ledger::End;
use crate::plan::ModelPlan;
use crate::provider::governor::{Governor, Permit};
use crate::provider::{ChatDelta, ChatReply, ChatRequest, Effect, ProviderError, ToolSpec};
use crate::report::{AgentError, Event, millis};

/// The first pause between two attempts; each next one is twice as long, plus jitter.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A shorter wait for an endpoint is not worth telling.
const SHORT_WAIT: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// One turn: attempts until one succeeds or no other is worth while, of one model after the
    /// other.
    pub(super) async fn call_model(
        &self,
        models: &mut Models<'_>,
        conversation: &Conversation,
        tools: &[ToolSpec],
    ) -> Result<ChatReply, End> {
        let turn = {
            let mut ledger = self.ledger.open();
            ledger.turns += 1;
            ledger.turns
        };
        loop {
            let call = Call { turn, model: models.current, conversation, tools };
            match self.ask(&call).await? {
                Ok(reply) => return Ok(reply),
                Err(failure) => self
                    .fall_back(models, failure)
                    .map_err(|failure| End::Failed(failure.error.into()))?,
            }
        }
    }

    /// Asks one model. `Err` is the agent's end, the inner error only this model's.
    async fn ask(&self, call: &Call<'_>) -> Result<Result<ChatReply, Failure>, End> {
        let mut retries = Retries::new(self.plan.retries, self.context.governor(call.model));
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

    /// One model call. `Err` is the agent's end, the inner error only the call's.
    async fn attempt(&self, call: &Call<'_>) -> Result<Result<ChatReply, Failure>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let (provider, model) = self.context.provider(call.model);
        let request = ChatRequest {
            model,
            messages: call.conversation.messages(),
            tools: call.tools,
            temperature: self.plan.temperature,
            max_output_tokens: self.plan.max_output_tokens,
            max_answer: self.plan.max_answer,
            idle_timeout: self.plan.idle_timeout,
        };
        let permit = match self.context.governor(call.model) {
            Some(governor) => match self.admit(governor, &request).await? {
                Ok(permit) => Some(permit),
                Err(error) => return Ok(Err(Failure { error, told_text: false })),
            },
            None => None,
        };
        self.tell(Event::ModelCallStarted { agent: self.index, turn: call.turn });
        let before = {
            let mut ledger = self.ledger.open();
            ledger.usage.model_calls += 1;
            ledger.usage
        };
        let (mut text_seen, mut heard) = (false, false);
        let mut on_delta = |delta: ChatDelta<'_>| {
            match (&permit, delta) {
                (Some(permit), ChatDelta::Sent) => permit.sent(),
                (Some(permit), _) if !std::mem::replace(&mut heard, true) => permit.prove(),
                _ => {}
            }
            match delta {
                ChatDelta::Sent => {}
                ChatDelta::Text(text) => {
                    self.keep_text(text, !std::mem::replace(&mut text_seen, true));
                }
                ChatDelta::Usage(tokens) => {
                    let mut ledger = self.ledger.open();
                    ledger.usage.input_tokens = before.input_tokens + tokens.input_tokens;
                    ledger.usage.output_tokens = before.output_tokens + tokens.output_tokens;
                    ledger.usage.cached_input_tokens =
                        before.cached_input_tokens + tokens.cached_input_tokens;
                }
            }
        };
        let mut result = tokio::select! {
            biased;
            result = provider.chat(request, &mut on_delta) => result,
            () = self.scope.cancelled() => {
                self.context.calls_cancelled.fetch_add(1, Ordering::Relaxed);
                return Err(self.stopped());
            }
        };
        let usage = self.ledger.open().usage;
        if let Some(permit) = permit {
            let tokens = usage.input_tokens + usage.output_tokens
                - before.input_tokens
                - before.output_tokens;
            permit.end(model, result.as_ref().err(), (tokens > 0).then_some(tokens));
        }
        self.tell(Event::Tokens { agent: self.index, usage });
        if let Ok(reply) = &mut result {
            self.ledger.open().finish_reason.clone_from(&reply.finish_reason);
            // A server that repeats a key must not bring it to a tool or into the report.
            for call in &mut reply.tool_calls {
                call.name = self.context.secrets.redact(std::mem::take(&mut call.name));
                call.arguments = self.context.secrets.redact(std::mem::take(&mut call.arguments));
            }
        }
        Ok(result.map_err(|error| Failure { error, told_text: text_seen }))
    }

    /// Waits for the endpoint's governor. `Err` is the agent's end, the inner error that there is
    /// nothing to wait for.
    async fn admit<'g>(
        &self,
        governor: &'g Governor,
        request: &ChatRequest<'_>,
    ) -> Result<Result<Permit<'g>, ProviderError>, End> {
        let asked = Instant::now();
        let estimate = request.estimate();
        let tokens = estimate.input_tokens + estimate.output_tokens;
        let mut admission = std::pin::pin!(governor.admit(request.model, tokens, self.deadline));
        let admitted = async {
            if let Ok(admitted) = timeout(SHORT_WAIT, &mut admission).await {
                return admitted;
            }
            let reason = governor.reason().unwrap_or("calls before this one");
            self.tell(Event::Queued { agent: self.index, reason });
            admission.await
        };
        let admitted = tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            admitted = admitted => Ok(admitted),
        };
        self.ledger.open().queued_ms += millis(asked.elapsed());
        admitted
    }

    /// Text of an earlier turn is kept until there is newer text.
    fn keep_text(&self, text: &str, is_first: bool) {
        let mut ledger = self.ledger.open();
        ledger.partial = true;
        let output = ledger.output.get_or_insert_default();
        if is_first {
            output.clear();
        }
        output.push_str(text);
    }
}

/// What is asked of a model.
struct Call<'a> {
    turn: u32,
    model: &'a ModelPlan,
    conversation: &'a Conversation,
    tools: &'a [ToolSpec],
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
