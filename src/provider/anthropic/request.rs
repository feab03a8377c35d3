//! From a [`ChatRequest`] to the JSON of the protocol. Pure, and without copying the messages.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Message, ToolCall, ToolSpec};
use crate::provider::ChatRequest;
use crate::provider::format;
use crate::provider::wire::{self, NO_TEXT, Part};

/// The protocol asks for a limit. Enough for a long answer with its reasoning, and within what
/// every current model, and most local ones, can give.
const MAX_TOKENS: u32 = 8192;

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

/// All that one side says before the other does.
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

/// How the protocol asks for an answer that fits, where it takes the schema.
fn output_config(schema: &Value) -> Option<OutputConfig<'_>> {
    let format = OutputFormat { r#type: "json_schema", schema };
    let takes =
        format::is_object(schema) && format::is_strict(schema) && !format::has_references(schema);
    takes.then_some(OutputConfig { format })
}

/// The body of the request. `by` is who will answer it.
pub fn to_json(request: &ChatRequest<'_>, by: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Body {
        model: request.model,
        max_tokens: request.max_output_tokens.unwrap_or(MAX_TOKENS),
        system: wire::system(request.messages),
        messages: turns(request.messages, by),
        tools: request.tools.iter().map(tool).collect(),
        output_config: request.output_schema.and_then(|schema| output_config(schema.schema())),
        temperature: request.temperature,
        stream: true,
    })
}

fn tool(tool: &ToolSpec) -> WireTool<'_> {
    WireTool { name: &tool.name, description: &tool.description, input_schema: &tool.parameters }
}

/// The sides take turns: what one of them says in a row is one message, tool results included.
fn turns<'a>(messages: &'a [Message], by: &str) -> Vec<Turn<'a>> {
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
                let native = wire::native(native.as_ref(), said, by, text);
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

/// A text, unless it is blank: servers refuse those.
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
    // What `arguments` gives is an object, so the other way is never taken.
    let input = serde_json::from_str(wire::arguments(&call.arguments)).unwrap_or(RawValue::NULL);
    Block::ToolUse { id, name: wire::function_name(&call.name), input }
}

fn result<'a>(tool_use_id: Cow<'a, str>, output: &'a str) -> Block<'a> {
    let content = Some(output).filter(|output| !output.trim().is_empty());
    Block::ToolResult { tool_use_id, content }
}

/// The ids of calls as they go out. The server takes each only once, and those of other servers
/// may be the same in every turn.
#[derive(Default)]
struct Ids<'a> {
    used: HashSet<Cow<'a, str>>,
    /// Of the latest turn with calls, by the ids that they came with.
    latest: HashMap<&'a str, Cow<'a, str>>,
}

impl<'a> Ids<'a> {
    /// The calls of the next turn; in one of the server's own their ids stand already.
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

/// Ids are letters, digits, `_` and `-`. Those of other servers may hold anything.
pub fn id(id: &str) -> Cow<'_, str> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !id.is_empty() && id.bytes().all(fits) {
        return Cow::Borrowed(id);
    }
    // In hexadecimal, so that different ones stay different.
    let hex = id.bytes().map(|byte| format!("{byte:02x}"));
    Cow::Owned(["id_".to_owned()].into_iter().chain(hex).collect())
}
