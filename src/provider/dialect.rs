//! What not every server of a protocol takes, found out from refusals: the call is made again in
//! other words, and so are all later ones of that model.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{ChatRequest, ProviderError, format};
use crate::report::ErrorKind;

/// How a request is put. The default is what most servers understand best.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dialect {
    /// Tokens are not asked for: the server tells them anyhow, or not at all.
    pub no_stream_options: bool,
    /// The limit of output tokens goes under its newer name.
    pub max_completion_tokens: bool,
    /// A structured answer is asked for in the messages only.
    pub no_format: bool,
}

impl Dialect {
    /// What to say in place of what was refused so; `None` if that was something else.
    pub fn after(self, refusal: &ProviderError, request: &ChatRequest<'_>) -> Option<Self> {
        let says = |word| refusal.message.contains(word);
        let mut next = self;
        next.no_stream_options |= says("stream_options") || says("include_usage");
        next.max_completion_tokens |=
            request.max_output_tokens.is_some() && says("max_completion_tokens");
        next.no_format |= request.output_schema.is_some() && format::is_meant(&refusal.message);
        (refusal.kind == ErrorKind::BadRequest && next != self).then_some(next)
    }
}

/// The dialects of one endpoint, model by model.
#[derive(Debug, Default)]
pub struct Dialects(Mutex<HashMap<String, Dialect>>);

impl Dialects {
    pub fn of(&self, model: &str) -> Dialect {
        self.known().get(model).copied().unwrap_or_default()
    }

    /// The server has understood this one.
    pub fn keep(&self, model: &str, spoken: Dialect) {
        if self.of(model) != spoken {
            self.known().insert(model.to_owned(), spoken);
        }
    }

    /// A panic elsewhere does not make what stands in it untrue.
    fn known(&self) -> MutexGuard<'_, HashMap<String, Dialect>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
