//! Anthropic's Messages API, streamed. Anthropic, gateways and local servers serve it.

mod event;
mod parser;
mod request;
#[cfg(test)]
mod tests;
mod thinking;

use super::protocol::{Protocol, below};

pub static ANTHROPIC: Protocol = Protocol {
    url: |base, _model| below(base, Some("v1"), ["messages"]),
    request: request::to_json,
    parser: || Box::<parser::AnthropicParser>::default(),
    without: &["seed"],
};
