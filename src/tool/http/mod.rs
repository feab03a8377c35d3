//! HTTP tools: one request and its redirects, only to hosts that the crew file allows.

mod call;
mod client;
mod received;
mod redirect;
mod request;

pub use call::{HttpCall, call};
pub use client::HttpClients;
pub use received::status_line;
pub use request::fill;
