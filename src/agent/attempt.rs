//! One attempt of a model call: its budget, its turn at the endpoint, the call, and its result.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::conversation::{Conversation, Reply};
use super::driver::{Driver, failed};
use super::ledger::{End, Failure};
use super::recorder::{CallRecorder, Outcome};
use crate::budget::{Amount, Reservation};
use crate::chat::{ChatReply, TokenUsage, ToolSpec};
use crate::plan::{ModelPlan, Price};
use crate::provider::governor::{Governor, Permit, Wanted};
use crate::provider::{ChatDelta, ChatRequest, Foresight, ProviderError};
use crate::report::{ErrorKind, Event, LiveAnswer, ModelCallReport, ToolStatus, millis};
use crate::untrusted::Untrusted;

/// Waits for a turn that are shorter than this are not shown.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// What a model is asked.
pub(super) struct Call<'a> {
    pub turn: u32,
    pub model: &'a ModelPlan,
    /// Another model of the agent's list has failed.
    pub is_fallback: bool,
    pub conversation: &'a Conversation,
    pub tools: &'a [ToolSpec],
}

/// A call that brought no answer.
pub(super) struct FailedCall {
    pub error: ProviderError,
    /// It had begun to answer: the ledger's output is the beginning.
    pub has_text: bool,
}

/// Why a call brought no answer, and what follows for its agent.
pub(super) enum CallError {
    /// The call failed: it may be retried, or another model asked.
    Call(FailedCall),
    /// The agent ends.
    Agent(End),
}

impl From<FailedCall> for CallError {
    fn from(failed: FailedCall) -> Self {
        Self::Call(failed)
    }
}

impl From<End> for CallError {
    fn from(end: End) -> Self {
        Self::Agent(end)
    }
}

impl CallError {
    /// The error of the call; `None` if its agent ends.
    fn of_call(&self) -> Option<&ProviderError> {
        match self {
            Self::Call(failed) => Some(&failed.error),
            Self::Agent(_) => None,
        }
    }
}

impl Driver<'_> {
    /// Makes one model call.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Reply, CallError> {
        if self.scope.is_cancelled() {
            return Err(self.stopped().into());
        }
        let (provider, model) = self.context.provider(call.model);
        let agent = self.run.name();
        let request = self.request(call, &agent, model);
        let foresight = provider.foresee(&request);
        let is_live = matches!(foresight, Foresight::Nothing);
        let price = self.context.plan.prices.of(call.model);
        let price = if is_live { price } else { price.map(|_| Price::FREE) };
        let governor = self.context.governor(call.model);
        // Calls of `offline` are free.
        let estimate = governor.map(|_| request.estimate()).unwrap_or_default();
        let longest_answers = &self.context.services.longest_answers;
        let longest = longest_answers.of(call.model.label());
        let most = governor.map(|_| request.at_most(estimate, longest)).unwrap_or_default();
        let reserved = self.reserve_budget(Amount::of(most, price)).await?;
        let permit = match (foresight, governor) {
            (Foresight::NotMade(error), _) => return Err(self.not_made(error).await),
            (Foresight::Recorded, _) | (_, None) => None,
            (Foresight::Nothing, Some(governor)) => {
                let admitted = self.admit(governor, call, model, estimate).await;
                Some(admitted.inspect_err(|error| provider.not_made(&request, error.of_call()))?)
            }
        };
        self.record_request(call);
        let ledger = &self.run.ledger;
        ledger.open().report.turns = call.turn;
        let answer = Arc::new(LiveAnswer::default());
        let started =
            Event::ModelCallStarted { agent: self.run.id, turn: call.turn, answer: answer.clone() };
        self.emit(started);
        let secrets = &self.context.services.secrets;
        let takes_tokens = governor.is_some();
        let began = millis(self.context.started.elapsed());
        let begun = ModelCallReport::begun(call.model.label().to_owned(), call.turn, began);
        let mut recorder = CallRecorder::new(ledger, secrets, permit, price, takes_tokens, begun);
        let mut on_delta = |delta: ChatDelta<'_>| {
            match delta {
                ChatDelta::Text(text) => answer.push(text),
                ChatDelta::Written { bytes, is_reasoning } => answer.grow_to(bytes, is_reasoning),
                ChatDelta::Sent | ChatDelta::Note(_) | ChatDelta::Usage(_) => {}
            }
            recorder.record(delta);
        };
        let result = tokio::select! {
            biased;
            result = provider.chat(&request, &mut on_delta) => Some(result),
            () = self.scope.cancelled() => None,
        };
        let outcome = Outcome::of(result.as_ref());
        let used = recorder.used(estimate, outcome);
        longest_answers.note(call.model.label(), used.output_tokens);
        for reservation in reserved {
            reservation.settle(Amount::of(used, price));
        }
        let has_text = recorder.finish(used, outcome);
        let usage = ledger.open().report.usage;
        self.emit(Event::Tokens { agent: self.run.id, usage });
        let ended = self.ended(call, result, has_text, is_live);
        self.enter_end(ended.as_ref().err());
        ended
    }

    /// Enters in the ledger how the call ended that it has begun.
    fn enter_end(&self, error: Option<&CallError>) {
        let error = error.map(|error| error.of_call().cloned().map(Failure::from));
        let status = match &error {
            None => ToolStatus::Succeeded,
            Some(None) => ToolStatus::Cancelled,
            Some(Some(failure)) if failure.kind == ErrorKind::Timeout => ToolStatus::TimedOut,
            Some(Some(_)) => ToolStatus::Failed,
        };
        let error = error.flatten().map(|error| error.redact(&self.context.services.secrets));
        let now = millis(self.context.started.elapsed());
        if let Some(call) = self.run.ledger.open().report.model_calls.last_mut() {
            call.duration_ms = now.saturating_sub(call.started_ms);
            (call.status, call.error) = (status, error);
        }
    }

    /// The result of a call. `None`: it was dropped.
    fn ended(
        &self,
        call: &Call<'_>,
        result: Option<Result<ChatReply, ProviderError>>,
        has_text: bool,
        is_live: bool,
    ) -> Result<Reply, CallError> {
        let model = call.model.label();
        match result {
            Some(Ok(reply)) => {
                let accepted = self.accept(reply, has_text, is_live);
                let calls = accepted.as_ref().map(|reply| reply.tool_calls.as_slice());
                self.record_answer(model, has_text, calls.ok());
                Ok(accepted?)
            }
            Some(Err(error)) => {
                self.record_answer(model, has_text, None);
                self.note_finish_reason(error.finish_reason.clone());
                Err(FailedCall { error, has_text }.into())
            }
            None => {
                self.record_answer(model, has_text, None);
                self.context.calls_cancelled.fetch_add(1, Ordering::Relaxed);
                Err(self.stopped().into())
            }
        }
    }

    fn request<'a>(
        &'a self,
        call: &'a Call<'_>,
        agent: &'a str,
        model: &'a str,
    ) -> ChatRequest<'a> {
        ChatRequest {
            agent,
            model,
            messages: call.conversation.messages(),
            tools: call.tools,
            output_schema: self.run.plan.output_schema.as_deref(),
            settings: self.run.plan.settings.clone(),
        }
    }

    /// Takes a reply with text or calls. One with neither is an error: models make this slip, and
    /// may not make it again.
    fn accept(&self, reply: ChatReply, has_text: bool, is_live: bool) -> Result<Reply, FailedCall> {
        let secrets = &self.context.services.secrets;
        let finish_reason = self.note_finish_reason(reply.finish_reason);
        let is_blank = {
            let draft = self.run.ledger.open();
            !has_text || draft.output.as_ref().is_none_or(Untrusted::is_blank)
        };
        if !reply.tool_calls.is_empty() || !is_blank {
            let calls = reply.tool_calls.into_iter().map(|call| call.redact(secrets));
            let is_cut = finish_reason.as_deref() == Some("length");
            let (tool_calls, native) = (calls.collect(), reply.native);
            return Ok(Reply { has_text, tool_calls, native, is_cut });
        }
        let finish = finish_reason.as_deref().unwrap_or("none");
        // The next answer would be cut in its reasoning as well.
        let is_cut = finish == "length";
        let advice = if is_cut { "; raise max_output_tokens" } else { "" };
        let message = format!("the model answered nothing (finish_reason: {finish}){advice}");
        let error = ProviderError {
            retryable: !is_cut,
            // Nothing is gained by a pause before a recorded answer.
            retry_after: (!is_live).then_some(Duration::ZERO),
            ..ProviderError::new(ErrorKind::InvalidResponse, message)
        };
        Err(FailedCall { error, has_text })
    }

    /// Enters a finish reason, if there is one, in the ledger; returns it redacted.
    fn note_finish_reason(&self, finish_reason: Option<Untrusted>) -> Option<String> {
        let reason = finish_reason?.redact(&self.context.services.secrets);
        let report = &mut self.run.ledger.open().report;
        if let Some(call) = report.model_calls.last_mut() {
            call.finish_reason = Some(reason.clone());
        }
        report.finish_reason = Some(reason.clone());
        Some(reason)
    }

    /// Reserves an amount in the budgets of the agent, of the run and of all runs together.
    async fn reserve_budget(&self, amount: Amount) -> Result<[Reservation<'_>; 3], End> {
        let all = std::pin::pin!(async {
            let own = self.budget.reserve(amount).await?;
            let of_run = self.context.budget.reserve(amount).await?;
            Ok([own, of_run, self.context.services.budget.reserve(amount).await?])
        });
        let reserved =
            self.queue(all, || ("calls under way may use up the budget", Duration::ZERO)).await?;
        reserved.map_err(|what: String| failed(ErrorKind::Budget, what))
    }

    /// The end of a call that was not made in the recorded run either.
    async fn not_made(&self, error: Option<ProviderError>) -> CallError {
        match error {
            Some(error) => FailedCall { error, has_text: false }.into(),
            None => {
                self.scope.cancelled().await;
                self.stopped().into()
            }
        }
    }

    /// Waits for the endpoint's governor.
    async fn admit<'g>(
        &self,
        governor: &'g Governor,
        call: &Call<'_>,
        model: &str,
        estimate: TokenUsage,
    ) -> Result<Permit<'g>, CallError> {
        let wanted = Wanted { model, tokens: estimate.total(), is_fallback: call.is_fallback };
        let admission = std::pin::pin!(governor.admit(wanted, self.deadline));
        let what = || governor.reason(model).unwrap_or("calls before this one");
        let reason = || (what(), governor.pause(model));
        let admitted = self.queue(admission, reason).await?;
        admitted.map_err(|error| FailedCall { error, has_text: false }.into())
    }

    /// Waits for a turn; after a while an event says what for. By reference: an async function holds
    /// a future that it is given twice.
    async fn queue<T>(
        &self,
        mut turn: Pin<&mut impl Future<Output = T>>,
        reason: impl FnOnce() -> (&'static str, Duration),
    ) -> Result<T, End> {
        let asked = Instant::now();
        let announced = async {
            if let Ok(turn) = timeout(SHORT_WAIT, &mut turn).await {
                return turn;
            }
            let (reason, wait) = reason();
            self.emit(Event::Queued { agent: self.run.id, reason, wait });
            turn.await
        };
        let turn = tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            turn = announced => Ok(turn),
        };
        self.run.ledger.open().report.queued_ms += millis(asked.elapsed());
        turn
    }
}
