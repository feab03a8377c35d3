//! One turn of an agent: its model call, with the attempts it takes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::Driver;
use crate::conversation::Conversation;
use crate::ledger::End;
use crate::provider::{ChatDelta, ChatReply, ChatRequest, ProviderError, ToolSpec};
use crate::report::{AgentError, Event};

/// The first pause between two attempts; each next one is twice as long, plus jitter.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

impl Driver<'_> {
    /// One turn: attempts until one succeeds or no other is worth while.
    pub(super) async fn call_model(
        &self,
        conversation: &Conversation,
        tools: &[ToolSpec],
    ) -> Result<ChatReply, End> {
        let turn = {
            let mut ledger = self.ledger.open();
            ledger.turns += 1;
            ledger.turns
        };
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(FIRST_RETRY)
            .with_max_delay(LONGEST_RETRY)
            .with_max_times(self.plan.retries as usize)
            .with_jitter()
            .build();
        loop {
            self.tell(Event::ModelCallStarted { agent: self.index, turn });
            let mut error = match self.attempt(conversation, tools).await? {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let delay = match delays.next() {
                Some(delay) if error.retryable => error.retry_after.unwrap_or(delay),
                _ => return Err(failed_call(error)),
            };
            if Instant::now() + delay >= self.deadline {
                error.message.push_str(&format!(
                    " (not tried again: the next attempt is due in {:.1}s, after the time limit)",
                    delay.as_secs_f64()
                ));
                return Err(failed_call(error));
            }
            self.pause(delay, &error).await?;
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
        tokio::select! {
            biased;
            () = self.scope.cancelled() => Err(self.stopped()),
            () = sleep(delay) => Ok(()),
        }
    }

    /// One model call. `Err` is the agent's end, the inner error only the call's.
    async fn attempt(
        &self,
        conversation: &Conversation,
        tools: &[ToolSpec],
    ) -> Result<Result<ChatReply, ProviderError>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let (provider, model) = self.context.provider(&self.plan.model);
        let request = ChatRequest {
            model,
            messages: conversation.messages(),
            tools,
            temperature: self.plan.temperature,
            max_output_tokens: self.plan.max_output_tokens,
            max_answer: self.plan.max_answer,
            idle_timeout: self.plan.idle_timeout,
        };
        let before = {
            let mut ledger = self.ledger.open();
            ledger.usage.model_calls += 1;
            ledger.usage
        };
        let mut text_seen = false;
        let mut on_delta = |delta: ChatDelta<'_>| match delta {
            ChatDelta::Text(text) => self.keep_text(text, !std::mem::replace(&mut text_seen, true)),
            ChatDelta::Usage(tokens) => {
                let mut ledger = self.ledger.open();
                ledger.usage.input_tokens = before.input_tokens + tokens.input_tokens;
                ledger.usage.output_tokens = before.output_tokens + tokens.output_tokens;
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
        self.tell(Event::Tokens { agent: self.index, usage: self.ledger.open().usage });
        if let Ok(reply) = &mut result {
            self.ledger.open().finish_reason.clone_from(&reply.finish_reason);
            // A server that repeats a key must not bring it to a tool or into the report.
            for call in &mut reply.tool_calls {
                call.name = self.context.secrets.redact(std::mem::take(&mut call.name));
                call.arguments = self.context.secrets.redact(std::mem::take(&mut call.arguments));
            }
        }
        Ok(result)
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

fn failed_call(error: ProviderError) -> End {
    End::Failed(AgentError { kind: error.kind, scope: error.scope, message: error.message })
}
