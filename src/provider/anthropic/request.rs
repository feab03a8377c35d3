//! From a [`ChatRequest`] to the JSON of the API, without copying the messages.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::thinking::{Reasoning, Thinking};
use crate::chat::{Attachment, CacheMode, Message, ToolCall, ToolSpec};
use crate::provider::output_format::{has_references, is_object, is_strict};
use crate::provider::quirks::Quirks;
use crate::provider::request::ChatRequest;
use crate::provider::wire::{self, NO_TEXT, Part};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<System>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum System {
    Text(String),
    /// The form that takes a mark for the cache.
    Blocks([SystemBlock; 1]),
}

#[derive(Serialize)]
struct SystemBlock {
    r#type: &'static str,
    text: String,
    cache_control: CacheControl,
}

/// Marks the end of a prefix that the server keeps for later requests.
#[derive(Serialize)]
pub struct CacheControl {
    r#type: &'static str,
}

const CACHE_CONTROL: CacheControl = CacheControl { r#type: "ephemeral" };

/// The consecutive messages of one side.
#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Part<'a, Block<'a>>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block<'a> {
    Text {
        text: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Document {
        source: Source<'a>,
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Thinking {
        thinking: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        signature: Option<&'a str>,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: &'a RawValue,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
}

/// The content of a file.
#[derive(Serialize)]
pub struct Source<'a> {
    r#type: &'static str,
    media_type: &'static str,
    data: &'a str,
}

impl Block<'_> {
    fn mark(&mut self) {
        match self {
            Self::Text { cache_control, .. }
            | Self::Image { cache_control, .. }
            | Self::Document { cache_control, .. }
            | Self::ToolResult { cache_control, .. } => *cache_control = Some(CACHE_CONTROL),
            // They are the model's.
            Self::Thinking { .. } | Self::RedactedThinking { .. } | Self::ToolUse { .. } => {}
        }
    }
}

#[derive(Serialize)]
struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    schema: &'a Value,
}

/// The API's output format, if it accepts the schema.
fn output_format(schema: &Value) -> Option<OutputFormat<'_>> {
    let is_accepted = is_object(schema) && is_strict(schema) && !has_references(schema);
    is_accepted.then_some(OutputFormat { r#type: "json_schema", schema })
}

/// The body of a request to the model that `model_ref` names as `provider/model`.
pub fn to_json(
    request: &ChatRequest<'_>,
    model_ref: &str,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let reasoning = Reasoning::new(request, quirks.rejected.most_output);
    let format = request.output_schema.and_then(|schema| output_format(schema.schema()));
    let output_config = OutputConfig { format, effort: reasoning.effort };
    let is_given = output_config.format.is_some() || output_config.effort.is_some();
    let has_marks = request.settings.cache == CacheMode::Auto;
    let mut messages = turns(request.messages, model_ref);
    if has_marks && !request.tools.is_empty() {
        mark(&mut messages);
    }
    serde_json::to_vec(&Body {
        model: request.model,
        max_tokens: reasoning.max_tokens,
        system: wire::system(request.messages).map(|text| system(text, has_marks)),
        messages,
        tools: request.tools.iter().map(tool).collect(),
        output_config: is_given.then_some(output_config),
        thinking: reasoning.thinking,
        temperature: request.settings.temperature,
        top_p: request.settings.top_p,
        stop_sequences: &request.settings.stop,
        stream: true,
    })
}

/// Tools come before the system message, so its mark includes them.
fn system(text: String, is_marked: bool) -> System {
    if !is_marked {
        return System::Text(text);
    }
    System::Blocks([SystemBlock { r#type: "text", text, cache_control: CACHE_CONTROL }])
}

/// Marks the end of the conversation for the next request, and the end that the request before
/// marked. The server finds a mark at most 20 blocks before another one, which a turn with many
/// calls exceeds. Without tools no further request is expected, and storing costs extra.
fn mark(messages: &mut [Turn<'_>]) {
    for turn in messages.iter_mut().rev().filter(|turn| turn.role == "user").take(2) {
        if let Some(Part::Ours(block)) = turn.content.last_mut() {
            block.mark();
        }
    }
}

fn tool(tool: &ToolSpec) -> WireTool<'_> {
    WireTool { name: &tool.name, description: &tool.description, input_schema: &tool.parameters }
}

/// The sides must take turns, so consecutive messages of one side become one, tool results
/// included.
fn turns<'a>(messages: &'a [Message], model_ref: &str) -> Vec<Turn<'a>> {
    let mut turns: Vec<Turn<'a>> = Vec::new();
    let mut ids = Ids::default();
    for message in messages {
        let (role, mut content) = match message {
            Message::System(_) => continue,
            Message::User(prompt) => ("user", text(prompt).map(Part::Ours).into_iter().collect()),
            Message::Files(files) | Message::ToolImages(files) => {
                ("user", files.iter().map(|one| Part::Ours(file(one))).collect())
            }
            Message::Tool { call, output } => {
                ("user", vec![Part::Ours(result(ids.of(call), output))])
            }
            Message::Assistant { text: said, tool_calls, native } => {
                let native = wire::native(native.as_ref(), said, model_ref, text);
                ids.take(tool_calls, native.is_some());
                let content = native.unwrap_or_else(|| {
                    let calls = tool_calls.iter().map(|one| call(one, ids.of(one)));
                    text(said).into_iter().chain(calls).map(Part::Ours).collect()
                });
                ("assistant", content)
            }
        };
        match turns.last_mut().filter(|turn| turn.role == role) {
            Some(turn) => turn.content.append(&mut content),
            None => turns.push(Turn { role, content }),
        }
    }
    for turn in turns.iter_mut().filter(|turn| turn.content.is_empty()) {
        turn.content.push(Part::Ours(Block::Text { text: NO_TEXT, cache_control: None }));
    }
    turns
}

/// A text, unless it is blank: servers reject those.
fn text(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text { text, cache_control: None })
}

fn file(file: &Attachment) -> Block<'_> {
    let media_type = file.media_type.name();
    let source = Source { r#type: "base64", media_type, data: file.data() };
    match file.media_type.is_image() {
        true => Block::Image { source, cache_control: None },
        false => Block::Document { source, title: &file.name, cache_control: None },
    }
}

pub fn thinking<'a>(thinking: &'a str, signature: Option<&'a str>) -> Block<'a> {
    Block::Thinking { thinking, signature }
}

pub fn redacted(data: &str) -> Block<'_> {
    Block::RedactedThinking { data }
}

pub fn call<'a>(call: &'a ToolCall, id: Cow<'a, str>) -> Block<'a> {
    // `arguments` returns an object, so this never fails.
    let input = serde_json::from_str(wire::arguments(&call.arguments)).unwrap_or(RawValue::NULL);
    Block::ToolUse { id, name: wire::function_name(&call.name), input }
}

fn result<'a>(tool_use_id: Cow<'a, str>, output: &'a str) -> Block<'a> {
    let content = Some(output).filter(|output| !output.trim().is_empty());
    Block::ToolResult { tool_use_id, content, cache_control: None }
}

/// The ids of calls as they are sent. The server accepts each only once, and the ids of other
/// servers may repeat in every turn.
#[derive(Default)]
struct Ids<'a> {
    used: HashSet<Cow<'a, str>>,
    /// The ids of the latest turn with calls, by the ids that their server gave them.
    latest: HashMap<&'a str, Cow<'a, str>>,
}

impl<'a> Ids<'a> {
    /// Takes the calls of the next turn. One of the server's own contains its ids already.
    fn take(&mut self, calls: &'a [ToolCall], is_native: bool) {
        self.latest.clear();
        for call in calls {
            let mut id = id(&call.id);
            while !self.used.insert(id.clone()) && !is_native {
                id = Cow::Owned(format!("{id}_{}", self.used.len()));
            }
            self.latest.insert(&call.id, id);
        }
    }

    fn of(&self, call: &'a ToolCall) -> Cow<'a, str> {
        self.latest.get(call.id.as_str()).cloned().unwrap_or_else(|| id(&call.id))
    }
}

/// An id of letters, digits, `_` and `-`. The ids of other servers may contain anything.
pub fn id(id: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    // In hexadecimal, so that different ids stay different.
    let hex = id.bytes().map(|byte| format!("{byte:02x}"));
    Cow::Owned(["id_".to_owned()].into_iter().chain(hex).collect())
}
