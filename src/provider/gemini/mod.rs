//! Google's `generateContent`, streamed: spoken by the Gemini API, and by gateways before it.

mod answer;
mod chunk;
mod request;
mod schema;
#[cfg(test)]
mod tests;

use reqwest::Url;

use super::ChatRequest;
use super::dialect::Dialect;
use super::protocol::{Parser, Protocol, Wording, below};

const VERSION: &str = "v1beta";
const COLLECTIONS: [&str; 2] = ["models/", "tunedModels/"];
const METHOD: &str = "streamGenerateContent";

#[derive(Debug, Clone, Copy)]
pub struct Gemini;

impl Protocol for Gemini {
    fn url(&self, base: &Url, model: &str) -> Url {
        // A name may say which collection it is of, as in `tunedModels/mine`.
        let is_whole = COLLECTIONS.iter().any(|collection| model.starts_with(collection));
        let collection = (!is_whole).then_some("models");
        let call = format!("{model}:{METHOD}");
        let mut url = below(base, Some(VERSION), collection.into_iter().chain(call.split('/')));
        url.query_pairs_mut().append_pair("alt", "sse");
        url
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
            answer: "an answer of generateContent",
            holder: "candidates",
            end: "no finishReason",
        }
    }
}
