//! How much a model of the API thinks, and the limit of tokens that leaves room for it.

use serde::Serialize;

use crate::chat::Effort;
use crate::provider::effort::is_adaptive;
use crate::provider::request::ChatRequest;

/// The limit without `max_output_tokens`, since the API demands one: enough for a long answer with
/// its reasoning, and within the limits of every current model and most local ones.
const DEFAULT_MAX_TOKENS: u32 = 8192;
/// The API accepts no smaller budget.
const MIN_BUDGET: u32 = 1024;

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Thinking {
    Disabled,
    /// The model decides, guided by the effort.
    Adaptive,
    /// Models before Claude 4.6.
    Enabled {
        budget_tokens: u32,
    },
}

/// The parts of a request that depend on the effort.
#[derive(Debug)]
pub struct Reasoning {
    /// Thinking and answer together.
    pub max_tokens: u32,
    pub thinking: Option<Thinking>,
    /// For `output_config`.
    pub effort: Option<&'static str>,
}

impl Reasoning {
    /// `most`: what the model takes as a limit, if that is known.
    pub fn new(request: &ChatRequest<'_>, most: Option<u32>) -> Self {
        let limit = |default: u32| {
            let wanted = request.settings.max_output_tokens.unwrap_or(default);
            most.map_or(wanted, |most| wanted.min(most))
        };
        let max_tokens = limit(DEFAULT_MAX_TOKENS);
        let plain = Self { max_tokens, thinking: None, effort: None };
        let Some(effort) = request.settings.effort else { return plain };
        if effort == Effort::None {
            return Self { thinking: Some(Thinking::Disabled), ..plain };
        }
        let max_tokens = limit(DEFAULT_MAX_TOKENS + budget(effort));
        if is_adaptive(request.model) {
            let (thinking, effort) = (Some(Thinking::Adaptive), Some(effort.name()));
            return Self { max_tokens, thinking, effort };
        }
        // The budget is a part of the limit, and has to leave something for the answer.
        let budget_tokens = budget(effort).min(max_tokens.saturating_sub(1));
        let is_possible = budget_tokens >= MIN_BUDGET;
        let thinking = is_possible.then_some(Thinking::Enabled { budget_tokens });
        Self { max_tokens, thinking, effort: None }
    }
}

/// Tokens for thinking.
fn budget(effort: Effort) -> u32 {
    match effort {
        Effort::None => 0,
        Effort::Minimal => 2048,
        Effort::Low => 4096,
        Effort::Medium => 10_000,
        Effort::High => 16_000,
        Effort::XHigh | Effort::Max => 32_000,
    }
}
