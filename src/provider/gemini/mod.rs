//! Google's `generateContent` API, streamed. The Gemini API and gateways in front of it serve it.

mod chunk;
mod parser;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use reqwest::Url;

use super::protocol::{Protocol, below};

pub static GEMINI: Protocol = Protocol {
    url,
    request: request::to_json,
    parser: || Box::<parser::GeminiParser>::default(),
    without: &[],
};

const VERSION: &str = "v1beta";
const COLLECTIONS: [&str; 2] = ["models/", "tunedModels/"];
const METHOD: &str = "streamGenerateContent";

fn url(base: &Url, model: &str) -> Url {
    // A name may include its collection, as in `tunedModels/mine`.
    let is_whole = COLLECTIONS.iter().any(|collection| model.starts_with(collection));
    let collection = (!is_whole).then_some("models");
    let call = format!("{model}:{METHOD}");
    let mut url = below(base, Some(VERSION), collection.into_iter().chain(call.split('/')));
    url.query_pairs_mut().append_pair("alt", "sse");
    url
}
