//! From a [`ChatRequest`] to the JSON of the API, without copying the messages.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Message, ToolCall, ToolSpec};
use crate::provider::output_format::{has_references, is_object, is_strict};
use crate::provider::quirks::Quirks;
use crate::provider::request::ChatRequest;
use crate::provider::wire::{self, NO_TEXT, Part};

/// The limit without `max_output_tokens`, since the API demands one: enough for a long answer with
/// its reasoning, and within the limits of every current model and most local ones.
const DEFAULT_MAX_TOKENS: u32 = 8192;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    stream: bool,
}

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
    },
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
    format: OutputFormat<'a>,
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    schema: &'a Value,
}

/// The API's output format, if it accepts the schema.
fn output_config(schema: &Value) -> Option<OutputConfig<'_>> {
    let format = OutputFormat { r#type: "json_schema", schema };
    let is_accepted = is_object(schema) && is_strict(schema) && !has_references(schema);
    is_accepted.then_some(OutputConfig { format })
}

/// The body of a request to the model that `model_ref` names as `provider/model`.
pub fn to_json(
    request: &ChatRequest<'_>,
    model_ref: &str,
    _quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Body {
        model: request.model,
        max_tokens: request.max_output_tokens.unwrap_or(DEFAULT_MAX_TOKENS),
        system: wire::system(request.messages),
        messages: turns(request.messages, model_ref),
        tools: request.tools.iter().map(tool).collect(),
        output_config: request.output_schema.and_then(|schema| output_config(schema.schema())),
        temperature: request.temperature,
        stream: true,
    })
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
        turn.content.push(Part::Ours(Block::Text { text: NO_TEXT }));
    }
    turns
}

/// A text, unless it is blank: servers reject those.
fn text(text: &str) -> Option<Block<'_>> {
    (!text.trim().is_empty()).then_some(Block::Text { text })
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
    Block::ToolResult { tool_use_id, content }
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
