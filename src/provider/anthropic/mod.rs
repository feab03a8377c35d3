//! Anthropic's Messages protocol, streamed: spoken by Anthropic, and by gateways and local servers.

mod answer;
mod event;
mod request;
#[cfg(test)]
mod tests;

use reqwest::Url;

use super::ChatRequest;
use super::dialect::Dialect;
use super::protocol::{Parser, Protocol, Wording, below};

#[derive(Debug, Clone, Copy)]
pub struct Anthropic;

impl Protocol for Anthropic {
    fn url(&self, base: &Url, _model: &str) -> Url {
        below(base, Some("v1"), ["messages"])
    }

    fn request(
        &self,
        _base: &Url,
        request: &ChatRequest<'_>,
        by: &str,
        _dialect: Dialect,
    ) -> serde_json::Result<Vec<u8>> {
        request::to_json(request, by)
    }

    fn parser(&self) -> Box<dyn Parser> {
        Box::<answer::Answer>::default()
    }

    fn wording(&self) -> Wording {
        Wording {
            answer: "a message of the Messages API",
            holder: "content",
            end: "neither stop_reason nor message_stop",
        }
    }
}
