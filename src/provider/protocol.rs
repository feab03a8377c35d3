//! What the protocols differ in: where a call goes, what its request looks like and what the JSON
//! of an answer means. All of it pure; sending and reading are `remote`'s, once for all.

use reqwest::Url;

use super::ChatRequest;
use super::dialect::Dialect;
use super::draft::{Draft, OnDelta, Stop};
use crate::chat::{NativePart, ToolCall};

/// One way of speaking to a model server.
pub trait Protocol: Send + Sync {
    /// Where calls of this model go.
    fn url(&self, base: &Url, model: &str) -> Url;

    /// The body of a request to the server at `base`. `by` is who will answer it: turns of others
    /// go in a form that any server of the protocol understands. An error means that something of
    /// ours is no JSON.
    fn request(
        &self,
        base: &Url,
        request: &ChatRequest<'_>,
        by: &str,
        dialect: Dialect,
    ) -> serde_json::Result<Vec<u8>>;

    /// For one answer.
    fn parser(&self) -> Box<dyn Parser>;

    fn wording(&self) -> Wording;
}

/// How errors name what did not come.
#[derive(Debug, Clone, Copy)]
pub struct Wording {
    /// What an answer is called, with its article.
    pub answer: &'static str,
    /// The key that holds it.
    pub holder: &'static str,
    /// What ends it.
    pub end: &'static str,
}

/// Reads the JSON of one answer.
pub trait Parser: Send {
    /// Takes the data of one event, or the whole of an answer that is not streamed. True: nothing
    /// follows.
    fn read(&mut self, json: &[u8], draft: &mut Draft, on_delta: OnDelta<'_>)
    -> Result<bool, Stop>;

    /// Whether a stream that ends in good order, but without what the protocol ends an answer
    /// with, has brought a whole one.
    fn may_end(&self, _draft: &Draft) -> bool {
        false
    }

    /// What the server wants back of this turn, in its own form and order. Empty if text and calls
    /// say it all.
    fn native(&self, calls: &[ToolCall]) -> Vec<NativePart>;
}

/// The base URL with these segments below it, after a version unless the base ends with one: users
/// write it, though the vendor's own SDK adds it.
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

/// Such as `v1` or `v1beta`.
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
