//! Records one model call in the ledger while it goes on.

use super::ledger::Ledger;
use crate::budget;
use crate::chat::TokenUsage;
use crate::plan::Price;
use crate::provider::governor::Permit;
use crate::provider::{ChatDelta, ChatRequest, ProviderError};
use crate::report::{ErrorKind, ModelCallReport, Usage};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// A count is implausible if its tokens would be longer than this on average.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// How a model call ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    Answered,
    Failed(&'a ProviderError),
    /// It was dropped because its agent or the run was stopped.
    Dropped,
}

impl<'a> Outcome<'a> {
    /// The outcome of a call with this result; `None` if it was dropped.
    pub fn of<T>(result: Option<&'a Result<T, ProviderError>>) -> Self {
        match result {
            Some(Ok(_)) => Self::Answered,
            Some(Err(error)) => Self::Failed(error),
            None => Self::Dropped,
        }
    }

    /// Whether the server ended its answer: then it has counted all of it.
    fn is_end_of_answer(self) -> bool {
        match self {
            Self::Answered => true,
            Self::Failed(error) => error.finish_reason.is_some(),
            Self::Dropped => false,
        }
    }
}

/// Enters text and tokens of one call as they arrive.
pub(super) struct CallRecorder<'a> {
    ledger: &'a Ledger,
    secrets: &'a Secrets,
    permit: Option<Permit<'a>>,
    price: Option<Price>,
    /// It takes tokens, estimated ones where its server does not count them.
    takes_tokens: bool,
    /// The agent's usage before the call.
    before: Usage,
    was_sent: bool,
    has_answered: bool,
    /// Bytes of text so far.
    text: usize,
    /// Bytes of text, reasoning and tool calls so far.
    written: usize,
    /// The server's count of the call's tokens.
    counted: Option<TokenUsage>,
}

impl<'a> CallRecorder<'a> {
    pub fn new(
        ledger: &'a Ledger,
        secrets: &'a Secrets,
        permit: Option<Permit<'a>>,
        price: Option<Price>,
        takes_tokens: bool,
        call: ModelCallReport,
    ) -> Self {
        let before = {
            let report = &mut ledger.open().report;
            report.add_model_call(call);
            let usage = &mut report.usage;
            let before = *usage;
            usage.model_calls += 1;
            usage.cost = before.cost.with_call(price.map(|_| 0.0));
            before
        };
        Self {
            ledger,
            secrets,
            permit,
            price,
            takes_tokens,
            before,
            was_sent: false,
            has_answered: false,
            text: 0,
            written: 0,
            counted: None,
        }
    }

    pub fn record(&mut self, delta: ChatDelta<'_>) {
        match delta {
            ChatDelta::Sent => {
                self.was_sent = true;
                self.permit.iter().for_each(Permit::sent);
                return;
            }
            ChatDelta::Note(note) => return self.note(note),
            ChatDelta::Text(text) => self.keep_text(text),
            ChatDelta::Written { bytes, .. } => self.written = bytes,
            ChatDelta::Usage(tokens) => self.count(tokens),
        }
        if !std::mem::replace(&mut self.has_answered, true) {
            self.permit.iter().for_each(Permit::accept);
        }
    }

    /// A note that a later turn repeats stands in the report once.
    fn note(&self, note: &Untrusted) {
        let note = note.clone().redact_excerpt(self.secrets);
        let notes = &mut self.ledger.open().report.notes;
        if !notes.contains(&note) {
            notes.push(note);
        }
    }

    /// Text of an earlier turn is kept until there is newer text.
    fn keep_text(&mut self, text: &str) {
        let mut draft = self.ledger.open();
        draft.report.partial = true;
        let output = draft.output.get_or_insert_with(Untrusted::default);
        if self.text == 0 {
            output.clear();
        }
        self.text += text.len();
        self.written = self.written.max(self.text);
        output.push_str(text);
    }

    fn count(&mut self, tokens: TokenUsage) {
        self.counted = Some(tokens);
        self.enter(tokens);
    }

    /// Enters the call's tokens, also in the agent's usage.
    fn enter(&self, tokens: TokenUsage) {
        let report = &mut self.ledger.open().report;
        if let Some(call) = report.model_calls.last_mut() {
            call.usage = tokens;
        }
        let (usage, before) = (&mut report.usage, self.before);
        usage.input_tokens = before.input_tokens + tokens.input_tokens;
        usage.output_tokens = before.output_tokens + tokens.output_tokens;
        usage.cached_input_tokens = before.cached_input_tokens + tokens.cached_input_tokens;
        usage.cache_write_tokens = before.cache_write_tokens + tokens.cache_write_tokens;
        usage.reasoning_tokens = before.reasoning_tokens + tokens.reasoning_tokens;
        let estimated = tokens.total().saturating_sub(self.counted.unwrap_or_default().total());
        usage.estimated_tokens = before.estimated_tokens + estimated;
        let cost = self.price.map(|price| budget::cost(tokens, price));
        usage.cost = before.cost.with_call(cost);
    }

    /// The tokens that the call took: as its server counted them, and an estimate of what the
    /// server did not count. So an incomplete count never extends a budget.
    pub fn used(&self, estimate: TokenUsage, outcome: Outcome<'_>) -> TokenUsage {
        let counted = self.counted.unwrap_or_default();
        let was_rejected = match outcome {
            Outcome::Answered => false,
            Outcome::Failed(error) => self.written == 0 && error.kind != ErrorKind::Timeout,
            Outcome::Dropped => !self.was_sent,
        };
        if was_rejected {
            return counted;
        }
        let written = ChatRequest::tokens_in(self.written);
        // Of an answer that was cut off, servers have counted the beginning at most.
        let is_plausible = counted.output_tokens >= (self.text / MAX_BYTES_PER_TOKEN).max(1) as u64;
        let is_final = outcome.is_end_of_answer() && is_plausible;
        TokenUsage {
            input_tokens: match counted.input_tokens {
                0 => estimate.input_tokens,
                counted => counted,
            },
            output_tokens: match is_final {
                true => counted.output_tokens,
                false => counted.output_tokens.max(written),
            },
            ..counted
        }
    }

    /// Ends the recording of a call that took this many tokens. Returns whether it brought any
    /// text.
    pub fn finish(self, used: TokenUsage, outcome: Outcome<'_>) -> bool {
        let is_answered = matches!(outcome, Outcome::Answered);
        // The server's own numbers stand, even zeros, where it reported any with its whole answer.
        let is_counted = outcome.is_end_of_answer() && self.counted.is_some();
        if self.takes_tokens && !is_counted {
            self.enter(used);
        }
        if self.takes_tokens && is_answered && self.counted.is_none() {
            self.ledger.open().report.usage.cost = self.before.cost.with_call(None);
        }
        let tokens = Some(used.total()).filter(|tokens| *tokens > 0);
        match (self.permit, outcome) {
            (Some(permit), Outcome::Answered) => permit.end(None, tokens),
            (Some(permit), Outcome::Failed(error)) => permit.end(Some(error), tokens),
            // A dropped permit says that its call was dropped.
            (_, Outcome::Dropped) | (None, _) => {}
        }
        self.text > 0
    }
}
