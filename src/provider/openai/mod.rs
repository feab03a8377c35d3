//! The OpenAI chat-completions protocol, streamed: spoken by OpenAI, OpenRouter, Ollama and most
//! servers that people run themselves, by each in its own way.

mod answer;
mod chunk;
mod request;
#[cfg(test)]
mod tests;

use reqwest::Url;

use self::request::TokenLimitKey;
use super::ChatRequest;
use super::dialect::Dialect;
use super::protocol::{Parser, Protocol, Wording, below};

#[derive(Debug, Clone, Copy)]
pub struct OpenAi;

impl Protocol for OpenAi {
    fn url(&self, base: &Url, _model: &str) -> Url {
        below(base, None, ["chat", "completions"])
    }

    fn request(
        &self,
        base: &Url,
        request: &ChatRequest<'_>,
        by: &str,
        dialect: Dialect,
    ) -> serde_json::Result<Vec<u8>> {
        let limit = match dialect.max_completion_tokens {
            true => TokenLimitKey::MaxCompletionTokens,
            false => TokenLimitKey::of_host(base.host_str().unwrap_or_default()),
        };
        request::to_json(request, by, limit, !dialect.no_stream_options)
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::<answer::Answer>::default()
    }

    fn wording(&self) -> Wording {
        Wording {
            answer: "a chat completion",
            holder: "choices",
            end: "neither finish_reason nor [DONE]",
        }
    }
}
