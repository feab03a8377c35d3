//! OpenAI's chat completions API, streamed. OpenAI, OpenRouter, Ollama and most servers that people
//! run themselves serve it, each with deviations.

mod chunk;
mod kept;
mod parser;
mod request;
#[cfg(test)]
mod tests;
pub mod usage;

use super::protocol::{Protocol, below};

pub static OPENAI: Protocol = Protocol {
    url: |base, _model| below(base, None, ["chat", "completions"]),
    request: request::to_json,
    parser: || Box::<parser::OpenAiParser>::default(),
    without: &[],
};
