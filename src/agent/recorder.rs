//! Records one model call in the ledger while it goes on.

use super::budget;
use super::ledger::Ledger;
use crate::chat::TokenUsage;
use crate::plan::Price;
use crate::provider::governor::Permit;
use crate::provider::{ChatDelta, ChatRequest, ProviderError};
use crate::report::{ErrorKind, Usage};
use crate::secret::Secrets;
use crate::untrusted::Untrusted;

/// How a model call ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome<'a> {
    Answered,
    Failed(&'a ProviderError),
    /// It was dropped because its agent or the run was stopped.
    Dropped,
}

/// Enters text and tokens of one call as they arrive.
pub(super) struct CallRecorder<'a> {
    ledger: &'a Ledger,
    secrets: &'a Secrets,
    permit: Option<Permit<'a>>,
    price: Option<Price>,
    /// The agent's usage before the call.
    before: Usage,
    has_answered: bool,
    /// Bytes of text so far.
    text: usize,
    /// The server's last count of the call's tokens.
    counted: Option<TokenUsage>,
}

impl<'a> CallRecorder<'a> {
    pub fn new(
        ledger: &'a Ledger,
        secrets: &'a Secrets,
        permit: Option<Permit<'a>>,
        price: Option<Price>,
    ) -> Self {
        let before = {
            let usage = &mut ledger.open().report.usage;
            // The cost of an agent is known only as long as that of every call is.
            let known = usage.cost.or((usage.model_calls == 0).then_some(0.0));
            usage.cost = known.filter(|_| price.is_some());
            usage.model_calls += 1;
            *usage
        };
        Self { ledger, secrets, permit, price, before, has_answered: false, text: 0, counted: None }
    }

    pub fn record(&mut self, delta: ChatDelta<'_>) {
        if let Some(permit) = &self.permit {
            if matches!(delta, ChatDelta::Sent) {
                permit.sent();
            } else if !self.has_answered {
                permit.accept();
                self.has_answered = true;
            }
        }
        match delta {
            ChatDelta::Sent => {}
            ChatDelta::Note(note) => self.note(note),
            ChatDelta::Text(text) => self.keep_text(text),
            ChatDelta::Usage(tokens) => self.count(tokens),
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
        output.push_str(text);
    }

    fn count(&mut self, tokens: TokenUsage) {
        self.counted = Some(tokens);
        let (usage, before) = (&mut self.ledger.open().report.usage, self.before);
        usage.input_tokens = before.input_tokens + tokens.input_tokens;
        usage.output_tokens = before.output_tokens + tokens.output_tokens;
        usage.cached_input_tokens = before.cached_input_tokens + tokens.cached_input_tokens;
        usage.reasoning_tokens = before.reasoning_tokens + tokens.reasoning_tokens;
        let cost = before.cost.zip(self.price);
        usage.cost = cost.map(|(before, price)| before + budget::cost(tokens, price));
    }

    /// The tokens that the call took: as its server counted them, or else an estimate of what it
    /// must have read and written.
    pub fn used(&self, estimate: TokenUsage, outcome: Outcome<'_>) -> TokenUsage {
        if let Some(counted) = self.counted {
            return counted;
        }
        match outcome {
            // The call was rejected, or never arrived.
            Outcome::Failed(error) if self.text == 0 && error.kind != ErrorKind::Timeout => {
                TokenUsage::default()
            }
            _ => TokenUsage { output_tokens: ChatRequest::tokens_in(self.text), ..estimate },
        }
    }

    /// Ends the recording of a call of `model`. Returns whether the call brought any text.
    pub fn finish(self, model: &str, outcome: Outcome<'_>) -> bool {
        let tokens = self.counted.map(|counted| counted.input_tokens + counted.output_tokens);
        match (self.permit, outcome) {
            (Some(permit), Outcome::Answered) => {
                if tokens.is_none() {
                    self.ledger.open().report.usage.cost = None;
                }
                permit.end(model, None, tokens);
            }
            (Some(permit), Outcome::Failed(error)) => permit.end(model, Some(error), tokens),
            // A dropped permit says that its call was dropped.
            (_, Outcome::Dropped) | (None, _) => {}
        }
        self.text > 0
    }
}
