//! One attempt of a model call: what it may use up, its turn at the endpoint, and what comes of it.

use std::mem::take;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::model::{Call, Failure};
use super::{Driver, failed};
use crate::agent::budget;
use crate::agent::budget::{Amount, Reservation};
use crate::agent::ledger::{End, Ledger};
use crate::chat::{ChatReply, TokenUsage};
use crate::plan::Price;
use crate::provider::governor::{Governor, Permit};
use crate::provider::{ChatDelta, ChatRequest, Effect, ProviderError};
use crate::report::{ErrorKind, Event, Usage, millis};

/// A shorter wait for a turn is not worth telling.
const SHORT_WAIT: Duration = Duration::from_secs(1);

impl Driver<'_> {
    /// One model call. `Err` is the agent's end, the inner error only the call's.
    pub(super) async fn attempt(&self, call: &Call<'_>) -> Result<Result<ChatReply, Failure>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let (provider, model) = self.context.provider(call.model);
        let request = ChatRequest {
            model,
            messages: call.conversation.messages(),
            tools: call.tools,
            output_schema: self.plan.output_schema.as_deref(),
            temperature: self.plan.settings.temperature,
            max_output_tokens: self.plan.settings.max_output_tokens,
            max_answer: self.plan.settings.max_answer,
            idle_timeout: self.plan.settings.idle_timeout,
        };
        let price = self.context.plan.prices.of(call.model);
        let governor = self.context.governor(call.model);
        // What nobody counts and nobody is paid for is not estimated either.
        let estimate = governor.map(|_| request.estimate()).unwrap_or_default();
        let longest = self.context.longest_answers.of(call.model.label());
        let most = governor.map(|_| request.at_most(estimate, longest)).unwrap_or_default();
        let reserved = self.keep_free(Amount::of(most, price)).await?;
        let permit = match governor {
            Some(governor) => match self.admit(governor, model, estimate).await? {
                Ok(permit) => Some(permit),
                Err(error) => return Ok(Err(Failure { error, told_text: false })),
            },
            None => None,
        };
        self.ledger.open().turns = call.turn;
        self.tell(Event::ModelCallStarted { agent: self.index, turn: call.turn });
        let mut hearing = Hearing::new(self.ledger, permit, price);
        let mut on_delta = |delta: ChatDelta<'_>| hearing.take(delta);
        let mut result = tokio::select! {
            biased;
            result = provider.chat(request, &mut on_delta) => Some(result),
            () = self.scope.cancelled() => None,
        };
        let used = hearing.used(estimate, error_of(result.as_ref()));
        self.context.longest_answers.note(call.model.label(), used.output_tokens);
        let used = Amount::of(used, price);
        reserved.into_iter().for_each(|reservation| reservation.settle(used));
        result.iter_mut().for_each(|result| self.redact(result));
        let finish_reason = result.as_ref().and_then(|result| match result {
            Ok(reply) => reply.finish_reason.clone(),
            Err(error) => error.finish_reason.clone(),
        });
        if finish_reason.is_some() {
            self.ledger.open().finish_reason = finish_reason;
        }
        let told_text = hearing.end(model, error_of(result.as_ref()));
        self.tell(Event::Tokens { agent: self.index, usage: self.ledger.open().usage });
        match result {
            Some(Ok(reply)) => Ok(self.check(reply, told_text)),
            Some(Err(error)) => Ok(Err(Failure { error, told_text })),
            None => {
                self.context.calls_cancelled.fetch_add(1, Ordering::Relaxed);
                Err(self.stopped())
            }
        }
    }

    /// A server that repeats a key must not bring it to a tool, nor into progress or report.
    fn redact(&self, result: &mut Result<ChatReply, ProviderError>) {
        let secrets = self.context.secrets;
        let redact = |text: &mut String| *text = secrets.redact(take(text));
        let finish_reason = match result {
            Ok(reply) => {
                for call in &mut reply.tool_calls {
                    redact(&mut call.name);
                    call.arguments = secrets.redact_json(take(&mut call.arguments));
                }
                &mut reply.finish_reason
            }
            Err(error) => {
                redact(&mut error.message);
                &mut error.finish_reason
            }
        };
        finish_reason.iter_mut().for_each(redact);
    }

    /// An answer with neither text nor calls is none: models slip so, and may not do it again.
    fn check(&self, reply: ChatReply, told_text: bool) -> Result<ChatReply, Failure> {
        let ledger = self.ledger.open();
        let text = ledger.output.as_deref().filter(|_| told_text).unwrap_or_default();
        if !reply.tool_calls.is_empty() || !text.trim().is_empty() {
            return Ok(reply);
        }
        let finish = reply.finish_reason.as_deref().unwrap_or("none");
        // It would think just as long once more.
        let is_cut = finish == "length";
        let advice = if is_cut { "; raise max_output_tokens" } else { "" };
        let error = ProviderError {
            kind: ErrorKind::InvalidResponse,
            scope: None,
            message: format!("the model answered nothing (finish_reason: {finish}){advice}"),
            retryable: !is_cut,
            retry_after: None,
            finish_reason: None,
            effect: Effect::Call,
        };
        Err(Failure { error, told_text })
    }

    /// Has the agent's budget and the run's keep so much free.
    async fn keep_free(&self, about: Amount) -> Result<[Reservation<'_>; 2], End> {
        let both = async {
            let own = self.budget.reserve(about).await?;
            Ok([own, self.context.budget.reserve(about).await?])
        };
        let kept = self.queue(both, || "calls under way may use up the budget").await?;
        kept.map_err(|what: String| failed(ErrorKind::Budget, what))
    }

    /// Waits for the endpoint's governor. `Err` is the agent's end, the inner error that there is
    /// nothing to wait for.
    async fn admit<'g>(
        &self,
        governor: &'g Governor,
        model: &str,
        estimate: TokenUsage,
    ) -> Result<Result<Permit<'g>, ProviderError>, End> {
        let tokens = estimate.input_tokens + estimate.output_tokens;
        let admission = governor.admit(model, tokens, self.deadline);
        self.queue(admission, || governor.reason().unwrap_or("calls before this one")).await
    }

    /// Waits for a turn; after a while it is said what for.
    async fn queue<T>(
        &self,
        turn: impl Future<Output = T>,
        reason: impl FnOnce() -> &'static str,
    ) -> Result<T, End> {
        let asked = Instant::now();
        let told = async {
            let mut turn = std::pin::pin!(turn);
            if let Ok(turn) = timeout(SHORT_WAIT, &mut turn).await {
                return turn;
            }
            self.tell(Event::Queued { agent: self.index, reason: reason() });
            turn.await
        };
        let turn = tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            turn = told => Ok(turn),
        };
        self.ledger.open().queued_ms += millis(asked.elapsed());
        turn
    }
}

/// What is heard of one call, entered as it comes.
struct Hearing<'a> {
    ledger: &'a Ledger,
    permit: Option<Permit<'a>>,
    price: Option<Price>,
    before: Usage,
    heard: bool,
    /// Bytes.
    text: usize,
    told: Option<TokenUsage>,
}

impl<'a> Hearing<'a> {
    fn new(ledger: &'a Ledger, permit: Option<Permit<'a>>, price: Option<Price>) -> Self {
        let before = {
            let mut open = ledger.open();
            // Unknown once is unknown for ever.
            let known = open.usage.cost.or((open.usage.model_calls == 0).then_some(0.0));
            open.usage.cost = known.filter(|_| price.is_some());
            open.usage.model_calls += 1;
            open.usage
        };
        Self { ledger, permit, price, before, heard: false, text: 0, told: None }
    }

    fn take(&mut self, delta: ChatDelta<'_>) {
        match (&self.permit, delta) {
            (Some(permit), ChatDelta::Sent) => permit.sent(),
            (Some(permit), _) if !std::mem::replace(&mut self.heard, true) => permit.prove(),
            _ => {}
        }
        match delta {
            ChatDelta::Sent => {}
            ChatDelta::Text(text) => self.keep_text(text),
            ChatDelta::Usage(tokens) => {
                self.told = Some(tokens);
                let mut ledger = self.ledger.open();
                let (usage, before) = (&mut ledger.usage, self.before);
                usage.input_tokens = before.input_tokens + tokens.input_tokens;
                usage.output_tokens = before.output_tokens + tokens.output_tokens;
                usage.cached_input_tokens = before.cached_input_tokens + tokens.cached_input_tokens;
                usage.reasoning_tokens = before.reasoning_tokens + tokens.reasoning_tokens;
                let cost = before.cost.zip(self.price);
                usage.cost = cost.map(|(before, price)| before + budget::cost(tokens, price));
            }
        }
    }

    /// Text of an earlier turn is kept until there is newer text.
    fn keep_text(&mut self, text: &str) {
        let mut ledger = self.ledger.open();
        ledger.partial = true;
        let output = ledger.output.get_or_insert_default();
        if self.text == 0 {
            output.clear();
        }
        self.text += text.len();
        output.push_str(text);
    }

    /// What the call took: as its server says, or else about what must have been read and written.
    /// `error`: `None` if it was dropped.
    fn used(&self, estimate: TokenUsage, error: Option<Option<&ProviderError>>) -> TokenUsage {
        match (self.told, error) {
            (Some(told), _) => told,
            // Refused, or never arrived.
            (None, Some(Some(error))) if self.text == 0 && error.kind != ErrorKind::Timeout => {
                TokenUsage::default()
            }
            (None, _) => {
                TokenUsage { output_tokens: ChatRequest::tokens_in(self.text), ..estimate }
            }
        }
    }

    /// The call is over; whether it had told any text.
    fn end(self, model: &str, error: Option<Option<&ProviderError>>) -> bool {
        if let (Some(permit), Some(error)) = (self.permit, error) {
            let tokens = self.told.map(|told| told.input_tokens + told.output_tokens);
            if error.is_none() && self.told.is_none() {
                self.ledger.open().usage.cost = None;
            }
            permit.end(model, error, tokens);
        }
        self.text > 0
    }
}

/// Of a call that was not dropped: its error, if it has one.
fn error_of(result: Option<&Result<ChatReply, ProviderError>>) -> Option<Option<&ProviderError>> {
    result.map(|result| result.as_ref().err())
}
