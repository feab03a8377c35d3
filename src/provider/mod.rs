//! Model calls: from a request to one attempt at a server, to its reply or error.

pub(crate) mod answer;
mod anthropic;
mod apis;
mod body;
pub(crate) mod body_decoder;
pub(crate) mod calls;
mod command_key;
mod connect;
mod effort;
mod endpoint;
mod error;
mod exchange;
mod extra_body;
mod faults;
mod finish;
mod fit;
mod gemini;
pub mod governor;
mod json;
pub mod offline;
mod openai;
mod output_format;
pub(crate) mod protocol;
mod quirks;
mod recorded;
mod remote;
mod request;
mod responses;
mod retry_after;
mod server_error;
mod settings;
pub(crate) mod sse;
#[cfg(test)]
mod testing;
mod thoughts;
mod tool_limits;
mod turn_quirks;
mod wire;

#[cfg(any(test, fuzzing))]
pub(crate) use apis::protocol_for;
pub use command_key::KeyContext;
pub use connect::{Connector, client};
pub use error::ProviderError;
pub use faults::FaultRule;
pub use request::{ChatDelta, ChatRequest, Foresight, Provider};
