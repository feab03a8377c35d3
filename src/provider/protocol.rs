//! The differences between APIs: the URL of a call, its request as JSON, and the meaning of the
//! JSON of a response. All of it is pure; `remote` sends and reads for every API.

use reqwest::Url;

use super::answer::{AnswerBuilder, BodyError};
use super::quirks::Quirks;
use super::request::{ChatRequest, OnDelta};
use crate::chat::{NativePart, ToolCall};

/// The conversions of one API.
#[derive(Debug)]
pub struct Protocol {
    /// The URL of calls to a model, from the base URL and the model's name.
    pub url: fn(&Url, &str) -> Url,
    /// The body of a request to the model that the second argument names as `provider/model`. Turns
    /// of other models take a form that any server of the API understands.
    pub request: fn(&ChatRequest<'_>, &str, Quirks) -> serde_json::Result<Vec<u8>>,
    /// The settings that the API does not have, by their names in the crew file.
    pub without: &'static [&'static str],
    /// A parser for one response.
    pub parser: fn() -> Box<dyn ChunkParser>,
}

/// Reads the JSON of one response.
pub trait ChunkParser: Send {
    /// Reads the data of one event, or a whole response that is not streamed.
    fn read(
        &mut self,
        json: &[u8],
        answer: &mut AnswerBuilder,
        on_delta: OnDelta<'_>,
    ) -> Result<Progress, BodyError>;

    /// Whether the answer is complete if the stream ends in good order, but without the API's end
    /// of an answer.
    fn may_end(&self, _answer: &AnswerBuilder) -> bool {
        false
    }

    /// The parts of this turn that the server expects back in its own form and order. Empty if text
    /// and calls suffice.
    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart>;
}

/// Whether more of a response is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    More,
    Complete,
}

/// Appends segments to the base URL, after a version unless the base ends with one: users write it
/// although the vendor's SDK adds it.
pub fn below<'a>(
    base: &Url,
    version: Option<&str>,
    path: impl IntoIterator<Item = &'a str>,
) -> Url {
    let mut url = base.clone();
    let last = base.path_segments().and_then(|mut path| path.rfind(|part| !part.is_empty()));
    let version = version.filter(|_| !last.is_some_and(is_version));
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(version).extend(path);
    }
    url
}

/// Matches `v1` and `v1beta`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_added_once() {
        for (base, version, expected) in [
            ("http://h", Some("v1"), "http://h/v1/messages"),
            ("http://h/", Some("v1"), "http://h/v1/messages"),
            ("http://h/proxy/", Some("v1"), "http://h/proxy/v1/messages"),
            ("http://h/v1", Some("v1"), "http://h/v1/messages"),
            ("http://h/v1/", Some("v1"), "http://h/v1/messages"),
            ("http://h/v1", Some("v1beta"), "http://h/v1/messages"),
            ("http://h/vault", Some("v1"), "http://h/vault/v1/messages"),
            ("http://h/v1?a=b", None, "http://h/v1/messages?a=b"),
        ] {
            let found =
                Url::parse(base).map(|base| below(&base, version, ["messages"]).to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{base}");
        }
    }
}
