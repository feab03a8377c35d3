//! From a [`ChatRequest`] to the JSON of the API, without copying the messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use crate::chat::{Attachment, Message, ToolCall, ToolSpec};
use crate::provider::output_format::{is_object, is_strict};
use crate::provider::quirks::Quirks;
use crate::provider::request::ChatRequest;
use crate::provider::wire::{self, Part};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<String>,
    input: Vec<Part<'a, Item<'a>>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<TextOptions<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    stream: bool,
    /// Nothing is kept at the vendor.
    store: bool,
    /// So the model's reasoning has to come with the answer, and go back with the next request.
    include: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Message { role: &'static str, content: &'a str },
    Files { role: &'static str, content: Vec<File<'a>> },
    Call(WireCall<'a>),
    Result(CallResult<'a>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File<'a> {
    InputImage { image_url: &'a str },
    InputFile { filename: &'a str, file_data: &'a str },
}

#[derive(Serialize)]
struct WireCall<'a> {
    r#type: &'static str,
    call_id: Cow<'a, str>,
    name: Cow<'a, str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct CallResult<'a> {
    r#type: &'static str,
    call_id: Cow<'a, str>,
    output: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
    /// By default the API rewrites the schema and requires every property.
    strict: bool,
}

#[derive(Serialize)]
struct TextOptions<'a> {
    format: OutputFormat<'a>,
}

#[derive(Serialize)]
struct OutputFormat<'a> {
    r#type: &'static str,
    name: &'static str,
    schema: &'a Value,
    strict: bool,
}

/// The API's output format, which accepts objects only.
fn output_format(schema: &Value) -> Option<TextOptions<'_>> {
    let strict = is_strict(schema);
    let format = OutputFormat { r#type: "json_schema", name: "answer", schema, strict };
    is_object(schema).then_some(TextOptions { format })
}

/// The body of a request to the model that `model_ref` names.
pub fn to_json(
    request: &ChatRequest<'_>,
    model_ref: &str,
    _quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let input = request.messages.iter().flat_map(|message| items(message, model_ref));
    serde_json::to_vec(&Body {
        model: request.model,
        instructions: wire::system(request.messages),
        input: input.collect(),
        tools: request.tools.iter().map(tool).collect(),
        text: request.output_schema.and_then(|schema| output_format(schema.schema())),
        reasoning: request.settings.effort.map(|effort| Reasoning { effort: effort.name() }),
        stream: true,
        store: false,
        include: ["reasoning.encrypted_content"],
        temperature: request.settings.temperature,
        top_p: request.settings.top_p,
        max_output_tokens: request.settings.max_output_tokens,
    })
}

fn items<'a>(message: &'a Message, model_ref: &str) -> Vec<Part<'a, Item<'a>>> {
    match message {
        Message::System(_) => Vec::new(),
        Message::User(text) => vec![Part::Ours(Item::Message { role: "user", content: text })],
        Message::Files(files) | Message::ToolImages(files) => {
            let content = files.iter().map(file).collect();
            vec![Part::Ours(Item::Files { role: "user", content })]
        }
        Message::Assistant { text, tool_calls, native } => {
            let native = native.as_ref().filter(|_| tool_calls.iter().all(fits));
            wire::native(native, text, model_ref, said).unwrap_or_else(|| {
                said(text).into_iter().chain(tool_calls.iter().map(call)).map(Part::Ours).collect()
            })
        }
        Message::Tool { call, output } => vec![Part::Ours(Item::Result(CallResult {
            r#type: "function_call_output",
            call_id: id(call),
            output,
        }))],
    }
}

fn file(file: &Attachment) -> File<'_> {
    if file.media_type.is_image() {
        return File::InputImage { image_url: &file.url };
    }
    File::InputFile { filename: &file.name, file_data: &file.url }
}

/// A text of the model, unless it is empty.
fn said(text: &str) -> Option<Item<'_>> {
    (!text.is_empty()).then_some(Item::Message { role: "assistant", content: text })
}

/// Whether the API accepts the call's id. Some servers write longer ones.
fn fits(call: &ToolCall) -> bool {
    const MAX_ID: usize = 64;
    call.id.len() <= MAX_ID
}

fn id(call: &ToolCall) -> Cow<'_, str> {
    if fits(call) { Cow::Borrowed(&call.id) } else { wire::short_id(&call.id) }
}

fn call(call: &ToolCall) -> Item<'_> {
    Item::Call(WireCall {
        r#type: "function_call",
        call_id: id(call),
        name: wire::function_name(&call.name),
        arguments: wire::arguments(&call.arguments),
    })
}

fn tool(tool: &ToolSpec) -> WireTool<'_> {
    WireTool {
        r#type: "function",
        name: &tool.name,
        description: &tool.description,
        parameters: &tool.parameters,
        strict: false,
    }
}
