//! Anthropic's Messages protocol, streamed: spoken by Anthropic, and by gateways and local servers.

mod answer;
mod event;
mod request;
#[cfg(test)]
mod tests;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::ChatRequest;
use super::dialect::Dialect;
use super::protocol::{Parser, Protocol, Wording, below};

/// The only version there is; what came later is asked for by headers of its own.
const VERSION: &str = "2023-06-01";

#[derive(Debug, Clone, Copy)]
pub struct Anthropic;

impl Protocol for Anthropic {
    fn key_header(&self) -> (HeaderName, &'static str) {
        (HeaderName::from_static("x-api-key"), "")
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let version = HeaderName::from_static("anthropic-version");
        vec![(version, HeaderValue::from_static(VERSION))]
    }

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
