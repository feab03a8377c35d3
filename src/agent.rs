//! Drives one agent: its time limit, its model calls with their retries, its tool calls side by
//! side. What it learns goes into its [`Ledger`] at once, so that nothing is lost however it ends.

use std::cell::LazyCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout_at};

use crate::cancel::Cancellation;
use crate::conversation::{Conversation, Ending, Step};
use crate::ledger::{End, Ledger};
use crate::plan::template::{Template, TemplateError, agent_context};
use crate::plan::{AgentPlan, CrewPlan, ModelPlan};
use crate::provider::offline::Offline;
use crate::provider::{
    ChatDelta, ChatReply, ChatRequest, Provider, ProviderError, ToolCall, ToolSpec,
};
use crate::report::{AgentError, CancelKind, ErrorKind, Event, EventSink, ToolCallReport, Usage};
use crate::secret::Secrets;
use crate::tool::http::HttpClients;
use crate::tool::process::Processes;
use crate::tool::{self, CheckedCall, ToolContext};

/// The first pause between two attempts; each next one is twice as long, plus jitter.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What the agents of one run share.
pub struct RunContext<'a> {
    pub plan: &'a CrewPlan,
    pub input: &'a str,
    pub cancel: &'a Cancellation,
    pub started: Instant,
    /// The run's.
    pub deadline: Instant,
    /// One for each agent, in the plan's order.
    pub ledgers: Vec<Ledger>,
    pub processes: Processes,
    pub http: &'a HttpClients,
    /// In the order of [`CrewPlan::providers`].
    pub providers: &'a [Arc<dyn Provider>],
    pub secrets: &'a Secrets,
    pub events: &'a EventSink,
    /// Model calls that were dropped because something was stopped.
    pub calls_cancelled: AtomicU64,
}

impl RunContext<'_> {
    /// Who answers for a model, and the model's name there.
    fn provider<'m>(&self, model: &'m ModelPlan) -> (&dyn Provider, &'m str) {
        match model {
            ModelPlan::Offline => (&Offline, model.label()),
            ModelPlan::Remote { provider, model, .. } => (&*self.providers[*provider], model),
        }
    }
}

/// Runs an agent until it has an answer, has failed, its time is up, or the run is stopped.
pub async fn run(index: usize, context: &RunContext<'_>) -> End {
    let plan = &context.plan.agents[index];
    let own_deadline = Instant::now() + plan.timeout;
    let driver = Driver {
        index,
        plan,
        context,
        ledger: &context.ledgers[index],
        scope: context.cancel.child(),
        deadline: own_deadline.min(context.deadline),
    };
    let mut work = std::pin::pin!(driver.drive());
    // By reference: when the time is up the work is still there to be stopped in good order.
    if let Ok(end) = timeout_at(own_deadline, &mut work).await {
        return end;
    }
    driver.scope.cancel(CancelKind::AgentTimeout);
    work.await
}

struct Driver<'a> {
    index: usize,
    plan: &'a AgentPlan,
    context: &'a RunContext<'a>,
    ledger: &'a Ledger,
    scope: Cancellation,
    /// The earlier of the agent's and the run's.
    deadline: Instant,
}

impl Driver<'_> {
    async fn drive(&self) -> End {
        let mut conversation = match self.open_conversation() {
            Ok(conversation) => conversation,
            Err(error) => return failed(ErrorKind::Template, error.to_string()),
        };
        let tools: Vec<ToolSpec> = self.plan.tools.iter().map(|tool| tool.spec.clone()).collect();
        loop {
            match conversation.next() {
                Step::CallModel => match self.call_model(&conversation, &tools).await {
                    Ok(reply) => {
                        let ledger = self.ledger.open();
                        let text = ledger.output.as_deref().filter(|_| reply.has_text);
                        conversation.model_replied(text.unwrap_or_default(), reply);
                    }
                    Err(end) => return end,
                },
                Step::CallTools(calls) => match self.call_tools(&calls).await {
                    Ok(outputs) => conversation.tools_returned(outputs),
                    Err(end) => return end,
                },
                Step::Done(ending) => return self.conclude(ending),
            }
        }
    }

    fn open_conversation(&self) -> Result<Conversation, TemplateError> {
        let plan = self.context.plan;
        // One after the other: they can be long, and are not held twice over.
        let outputs = self.plan.needs.iter().map(|&needed| {
            let output = self.context.ledgers[needed].open().output.clone();
            (plan.agents[needed].name.as_str(), output.unwrap_or_default().into())
        });
        let input = self.context.input;
        let values = LazyCell::new(|| agent_context(input, &plan.vars, outputs));
        let fill = |template: &Template| template.fill(input, || values.clone());
        let system = self.plan.system.iter().map(fill).collect::<Result<Vec<_>, _>>()?.join("\n\n");
        let system = (!system.is_empty()).then_some(system);
        Ok(Conversation::new(system, fill(&self.plan.prompt)?, self.plan.max_turns))
    }

    /// One turn: attempts until one succeeds or no other is worth while.
    async fn call_model(
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
                // Added to what was there before the call: each tells of the whole call so far.
                let mut usage = before;
                usage += Usage {
                    input_tokens: tokens.input_tokens,
                    output_tokens: tokens.output_tokens,
                    cached_input_tokens: tokens.cached_input_tokens,
                    reasoning_tokens: tokens.reasoning_tokens,
                    ..Usage::default()
                };
                self.ledger.open().usage = usage;
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

    /// All calls of one turn, side by side. Their outputs, in their order.
    async fn call_tools(&self, calls: &[ToolCall]) -> Result<Vec<String>, End> {
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        let reports = join_all(calls.iter().map(|call| self.call_tool(call))).await;
        if self.scope.is_cancelled() {
            return Err(self.stopped());
        }
        Ok(reports)
    }

    async fn call_tool(&self, call: &ToolCall) -> String {
        let started = self.context.started;
        let checked = match tool::check(&self.plan.tools, call) {
            Ok(checked) => checked,
            Err(rejection) => {
                let report = tool::rejected(call, rejection, started);
                let slot = self.reserve(report.clone());
                return self.settle(slot, report);
            }
        };
        let CheckedCall { tool, arguments } = &checked;
        let (name, values) = (tool.spec.name.clone(), arguments.clone());
        let slot = self.reserve(tool::unfinished(&name, values.clone(), started));
        self.tell(Event::ToolStarted { agent: self.index, tool: name, arguments: values });
        let context = ToolContext {
            processes: &self.context.processes,
            http: self.context.http,
            scope: &self.scope,
            default_timeout: self.plan.tool_timeout,
            run_started: started,
            input: self.context.input,
            vars: &self.context.plan.vars,
        };
        let mut report = tool::call(checked, context).await;
        let secrets = self.context.secrets;
        report.output = secrets.redact_output(report.output, report.truncated);
        self.settle(slot, report)
    }

    /// A place in the ledger, so that the calls stand in the order they were asked for, and one
    /// that never ends is not missing.
    fn reserve(&self, report: ToolCallReport) -> usize {
        let mut ledger = self.ledger.open();
        ledger.usage.tool_calls += 1;
        ledger.tool_calls.push(report);
        ledger.tool_calls.len() - 1
    }

    fn settle(&self, slot: usize, report: ToolCallReport) -> String {
        self.tell(Event::ToolFinished {
            agent: self.index,
            tool: report.tool.clone(),
            status: report.status,
            duration: Duration::from_millis(report.duration_ms),
        });
        let output = report.output.clone();
        self.ledger.open().tool_calls[slot] = report;
        output
    }

    fn conclude(&self, ending: Ending) -> End {
        match ending {
            Ending::Answer => {
                self.ledger.open().partial = false;
                End::Succeeded
            }
            Ending::Empty => {
                let finish = self.ledger.open().finish_reason.clone();
                let finish = finish.as_deref().unwrap_or("none").to_owned();
                let message = format!("the model answered nothing (finish_reason: {finish})");
                failed(ErrorKind::InvalidResponse, message)
            }
            Ending::OutOfTurns => {
                let turns = self.plan.max_turns;
                let message =
                    format!("no answer after {turns} model calls: it asked for more tools");
                failed(ErrorKind::MaxTurns, message)
            }
        }
    }

    fn stopped(&self) -> End {
        End::Stopped(self.scope.reason().unwrap_or_else(|| CancelKind::AgentTimeout.into()))
    }

    fn tell(&self, event: Event) {
        (self.context.events)(event);
    }
}

fn failed(kind: ErrorKind, message: String) -> End {
    End::Failed(AgentError { kind, scope: None, message })
}

fn failed_call(error: ProviderError) -> End {
    End::Failed(AgentError { kind: error.kind, scope: error.scope, message: error.message })
}
