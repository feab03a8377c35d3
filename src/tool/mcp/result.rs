//! The result of an MCP tool as text for the model: its texts, and descriptions of other content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents, ServerResult};
use serde_json::Value;

use crate::attachment::media_type;
use crate::chat::Attachment;
use crate::text::{Excerpt, HeadTail, json};

/// Images of one result for the model. The others are described only.
const MAX_IMAGES: usize = 20;

/// The text of a result.
#[derive(Debug)]
pub struct ToolResult {
    pub output: Excerpt,
    pub images: Vec<Attachment>,
    /// The tool reports an error.
    pub is_error: bool,
}

/// Keeps `max_output` bytes: the head and the tail of a longer text.
pub fn read(result: ServerResult, max_output: usize) -> ToolResult {
    let mut output =
        Output { capture: HeadTail::new(max_output), is_empty: true, images: Vec::new() };
    let is_error = match result {
        ServerResult::CallToolResult(result) => push_typed(&result, &mut output),
        ServerResult::CustomResult(result) => push_untyped(&result.0, &mut output),
        // An empty result.
        _ => false,
    };
    ToolResult { output: output.capture.finish(), images: output.images, is_error }
}

struct Output {
    capture: HeadTail,
    is_empty: bool,
    images: Vec<Attachment>,
}

impl Output {
    /// Adds a part on a line of its own.
    fn push(&mut self, part: &str) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.capture.push(b"\n");
        }
        self.capture.push(part.as_bytes());
    }
}

/// Returns whether the result is an error.
fn push_typed(result: &CallToolResult, output: &mut Output) -> bool {
    result.content.iter().for_each(|block| push_block(block, output));
    let texts = result.content.iter().filter_map(|block| block.as_text().map(|text| &*text.text));
    push_structured(result.structured_content.as_ref(), texts, output);
    result.is_error == Some(true)
}

/// Adds a result with parts that the SDK does not know, and returns whether it is an error.
fn push_untyped(result: &Value, output: &mut Output) -> bool {
    let blocks = result.get("content").and_then(Value::as_array).map(Vec::as_slice);
    for block in blocks.unwrap_or_default() {
        match serde_json::from_value(block.clone()) {
            Ok(block) => push_block(&block, output),
            Err(_) => {
                let kind = block.get("type").and_then(Value::as_str).unwrap_or("none");
                output.push(&format!("[content of unknown type: {kind}]"));
            }
        }
    }
    let texts = blocks.into_iter().flatten().filter_map(|block| block.get("text")?.as_str());
    push_structured(result.get("structuredContent"), texts, output);
    if output.is_empty && result.as_object().is_none_or(|entries| !entries.is_empty()) {
        output.push(&result.to_string());
    }
    result.get("isError") == Some(&Value::Bool(true))
}

/// Adds the structured content, unless the texts repeat it: servers should do so for clients that
/// do not support it.
fn push_structured<'a>(
    content: Option<&Value>,
    texts: impl Iterator<Item = &'a str>,
    output: &mut Output,
) {
    if let Some(content) = content.filter(|content| !repeats(&texts.collect::<Vec<_>>(), content)) {
        output.push(&content.to_string());
    }
}

/// Whether the texts repeat all of the content. SDKs wrap values that are not objects, as
/// `{"result": …}`, and send each item of a list as a text. An empty list has no such text, and the
/// name of any other key may add information.
fn repeats(texts: &[&str], content: &Value) -> bool {
    let is = |text: &str, value: &Value| {
        value.as_str() == Some(text)
            || json::value(text.as_bytes()).is_ok_and(|text| is_same(&text, value))
    };
    let inside = content.as_object().filter(|entries| entries.len() == 1);
    let inside = inside.and_then(|entries| entries.get("result"));
    let is_listed = |items: &Vec<Value>| {
        !items.is_empty()
            && items.len() == texts.len()
            && texts.iter().zip(items).all(|(text, item)| is(text, item))
    };
    texts.iter().any(|text| is(text, content) || inside.is_some_and(|value| is(text, value)))
        || inside.and_then(Value::as_array).is_some_and(is_listed)
}

/// Whether two values are the same data. `22` and `22.0` are equal numbers.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => {
            one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let is_in_other = |(key, value)| other.get(key).is_some_and(|it| is_same(value, it));
            one.len() == other.len() && one.iter().all(is_in_other)
        }
        _ => one == other,
    }
}

fn push_block(block: &ContentBlock, output: &mut Output) {
    match block {
        ContentBlock::Text(text) => output.push(&text.text),
        ContentBlock::Image(image) => {
            output.push(&format!("[image: {}, {}]", image.mime_type, size(&image.data)));
            // The content decides the type: servers get theirs wrong.
            let bytes = STANDARD.decode(&image.data).unwrap_or_default();
            let media_type = media_type(&bytes).filter(|media_type| media_type.is_image());
            if let Some(media_type) = media_type.filter(|_| output.images.len() < MAX_IMAGES) {
                let name = format!("image {}", output.images.len() + 1);
                output.images.push(Attachment::new(name, media_type, &image.data));
            }
        }
        ContentBlock::Audio(audio) => {
            output.push(&format!("[audio: {}, {}]", audio.mime_type, size(&audio.data)));
        }
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { uri, text, .. } => {
                output.push(&format!("[resource: {uri}]\n{text}"));
            }
            ResourceContents::BlobResourceContents { uri, mime_type, blob, .. } => {
                let mime_type = mime_type.as_deref().unwrap_or("unknown type");
                output.push(&format!("[resource: {uri}, {mime_type}, {}]", size(blob)));
            }
            _ => output.push("[resource of unknown type]"),
        },
        ContentBlock::ResourceLink(link) => {
            let details = [Some(link.name.as_str()), link.mime_type.as_deref()];
            let details = details.into_iter().flatten().collect::<Vec<_>>().join(", ");
            let size = link.size.map(|bytes| format!(", {bytes} bytes")).unwrap_or_default();
            output.push(&format!("[resource link: {} ({details}{size})]", link.uri));
            if let Some(description) = &link.description {
                output.push(description);
            }
        }
        _ => output.push("[content of unknown type]"),
    }
}

/// The size of base64 data once decoded.
fn size(base64: &str) -> String {
    let digits = base64.trim_end_matches('=').len();
    format!("{} bytes", digits * 3 / 4)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(result: Value) -> (String, bool) {
        let ToolResult { output, is_error, .. } =
            read(serde_json::from_value(result).unwrap(), 1000);
        (output.text, is_error)
    }

    #[test]
    fn text_is_shown_and_other_content_is_described() {
        let image = json!({"type": "image", "mimeType": "image/png", "data": "AAECAw=="});
        let audio = json!({"type": "audio", "mimeType": "audio/wav", "data": "AAEC"});
        let text = json!({"type": "resource", "resource": {"uri": "file:///a", "text": "inside"}});
        let blob = json!({"type": "resource",
            "resource": {"uri": "file:///b", "mimeType": "x/y", "blob": "AA=="}});
        let link = json!({"type": "resource_link", "uri": "file:///c", "name": "c",
            "mimeType": "text/plain", "size": 7, "description": "a letter"});
        let content = json!([{"type": "text", "text": "one"}, image, audio, text, blob, link]);
        assert_eq!(
            shown(json!({"content": content, "isError": true})),
            (
                "one\n[image: image/png, 4 bytes]\n[audio: audio/wav, 3 bytes]\n\
                 [resource: file:///a]\ninside\n[resource: file:///b, x/y, 1 bytes]\n\
                 [resource link: file:///c (c, text/plain, 7 bytes)]\na letter"
                    .to_owned(),
                true
            )
        );
    }

    #[test]
    fn structured_content_is_shown_once() {
        let data = json!({"a": [1, 2]});
        let only = json!({"content": [], "structuredContent": data});
        assert_eq!(shown(only), (r#"{"a":[1,2]}"#.to_owned(), false));
        let text = |text: &str| json!([{"type": "text", "text": text}]);
        let repeated = json!({"content": text("{\"a\": [1, 2]}"), "structuredContent": data});
        assert_eq!(shown(repeated).0, "{\"a\": [1, 2]}");
        for (texts, result) in
            [(vec!["two"], json!("two")), (vec!["7"], json!(7)), (vec!["a", "2"], json!(["a", 2]))]
        {
            let content: Value =
                texts.iter().map(|text| json!({"type": "text", "text": text})).collect();
            let wrapped = json!({"content": content, "structuredContent": {"result": result}});
            assert_eq!(shown(wrapped).0, texts.join("\n"));
        }
        let image = json!({"type": "image", "mimeType": "image/png", "data": "AAECAw=="});
        for (content, structured, expected) in [
            (json!([]), json!({"result": []}), r#"{"result":[]}"#),
            (
                json!([image]),
                json!({"matches": []}),
                "[image: image/png, 4 bytes]\n{\"matches\":[]}",
            ),
            (text("7"), json!({"deleted": 7}), "7\n{\"deleted\":7}"),
            (text("a"), json!({"deleted": ["a"]}), "a\n{\"deleted\":[\"a\"]}"),
        ] {
            let result = json!({"content": content, "structuredContent": structured});
            assert_eq!(shown(result).0, expected);
        }
        let both = json!({"content": text("two"), "structuredContent": data});
        assert_eq!(shown(both).0, "two\n{\"a\":[1,2]}");
    }

    #[test]
    fn unknown_content_does_not_hide_the_rest() {
        let content = json!([{"type": "hologram"}, {"type": "text", "text": "seen"}, 7]);
        let (text, is_error) = shown(json!({"content": content, "isError": true}));
        assert!(text.contains("hologram") && text.contains("\nseen\n") && is_error, "{text}");
        assert_eq!(shown(json!({})).0, "");
        assert_eq!(shown(json!({"content": "bare"})).0, r#"{"content":"bare"}"#);
    }
}
