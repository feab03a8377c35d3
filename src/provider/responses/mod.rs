//! OpenAI's Responses API, streamed. Nothing is stored at the server: each request carries the
//! whole conversation, with the model's reasoning in encrypted form.

mod event;
mod parser;
mod request;
#[cfg(test)]
mod tests;

use super::protocol::{Protocol, below};

pub static RESPONSES: Protocol = Protocol {
    url: |base, _model| below(base, None, ["responses"]),
    request: request::to_json,
    parser: || Box::<parser::ResponsesParser>::default(),
    without: &["stop", "seed"],
};
