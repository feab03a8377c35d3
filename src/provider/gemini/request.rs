//! From a [`ChatRequest`] to the JSON of the API, without copying the messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::schema;
use crate::chat::{Attachment, Effort, Message, ToolCall, ToolSpec};
use crate::provider::effort::has_levels;
use crate::provider::output_format::{has_references, is_object};
use crate::provider::quirks::Quirks;
use crate::provider::request::ChatRequest;
use crate::provider::wire::{self, NO_TEXT, Part};
use crate::structured::Schema;

/// The prefix of ids that crew gives to calls without one. Their results are sent without an id.
pub const OWN_ID: &str = "crew-call-";

/// Replaces the signature that newer models demand of every step, in turns of other servers. The
/// API documents it as the value that skips the check.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction>,
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTools<'a>>,
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
struct Instruction {
    parts: [InstructionText; 1],
}

#[derive(Serialize)]
struct InstructionText {
    text: String,
}

/// The consecutive messages of one side.
#[derive(Serialize)]
struct Content<'a> {
    role: &'static str,
    parts: Vec<Part<'a, WirePart<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum WirePart<'a> {
    Text {
        text: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    File {
        inline_data: InlineData<'a>,
    },
    #[serde(rename_all = "camelCase")]
    Call {
        function_call: WireCall<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        thought_signature: Option<&'static str>,
    },
    #[serde(rename_all = "camelCase")]
    Response {
        function_response: WireResponse<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InlineData<'a> {
    mime_type: &'static str,
    data: &'a str,
}

#[derive(Serialize)]
pub struct WireCall<'a> {
    name: Cow<'a, str>,
    args: &'a RawValue,
}

#[derive(Serialize)]
pub struct WireResponse<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    name: Cow<'a, str>,
    response: Output<'a>,
}

#[derive(Serialize)]
struct Output<'a> {
    output: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireTools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<Value>,
    /// In place of `parameters_json_schema`, for servers that do not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ThinkingConfig {
    ThinkingLevel(&'static str),
    /// Tokens; models before Gemini 3.
    ThinkingBudget(u32),
}

fn thinking(model: &str, effort: Effort) -> ThinkingConfig {
    if has_levels(model) {
        return ThinkingConfig::ThinkingLevel(effort.name());
    }
    ThinkingConfig::ThinkingBudget(match effort {
        Effort::None => 0,
        Effort::Minimal => 512,
        Effort::Low => 2048,
        Effort::Medium => 8192,
        Effort::High => 16_384,
        Effort::XHigh | Effort::Max => 24_576,
    })
}

/// The body of a request to the model that `model_ref` names as `provider/model`.
pub fn to_json(
    request: &ChatRequest<'_>,
    model_ref: &str,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let function_declarations: Vec<_> =
        request.tools.iter().map(|tool| declaration(tool, quirks)).collect();
    let tools = (!function_declarations.is_empty()).then_some(WireTools { function_declarations });
    let system = wire::system(request.messages);
    let wanted = request.output_schema.map(Schema::schema);
    let wanted = wanted.filter(|schema| is_object(schema) && !has_references(schema));
    let response_schema = wanted.and_then(schema::of);
    serde_json::to_vec(&Body {
        system_instruction: system.map(|text| Instruction { parts: [InstructionText { text }] }),
        contents: contents(request.messages, model_ref),
        tools: tools.into_iter().collect(),
        generation_config: GenerationConfig {
            temperature: request.settings.temperature,
            top_p: request.settings.top_p,
            stop_sequences: &request.settings.stop,
            seed: request.settings.seed,
            thinking_config: request.settings.effort.map(|effort| thinking(request.model, effort)),
            max_output_tokens: request.settings.max_output_tokens,
            response_mime_type: response_schema.as_ref().map(|_| "application/json"),
            response_schema,
        },
    })
}

fn declaration(tool: &ToolSpec, quirks: Quirks) -> Declaration<'_> {
    let parameters = schema::of(&tool.parameters);
    let (json_schema, parameters) = match quirks.turns.no_json_schema {
        true => (None, parameters),
        false => (parameters.map(|_| schema::json_schema(&tool.parameters)), None),
    };
    Declaration {
        name: &tool.name,
        // The API demands one.
        description: if tool.description.is_empty() { &tool.name } else { &tool.description },
        parameters_json_schema: json_schema,
        parameters,
    }
}

/// The sides must take turns, so consecutive messages of one side become one content, all responses
/// of a turn included.
fn contents<'a>(messages: &'a [Message], model_ref: &str) -> Vec<Content<'a>> {
    let mut contents: Vec<Content<'a>> = Vec::new();
    // Whether the calls whose results follow were sent exactly as the server made them.
    let mut is_native = false;
    for message in messages {
        let (role, mut parts) = match message {
            Message::System(_) => continue,
            Message::User(prompt) => {
                let part = Some(prompt).filter(|prompt| !prompt.trim().is_empty());
                ("user", part.map(|prompt| Part::Ours(text(prompt))).into_iter().collect())
            }
            Message::Files(files) | Message::ToolImages(files) => {
                ("user", files.iter().map(|one| Part::Ours(file(one))).collect())
            }
            Message::Tool { call, output } => {
                ("user", vec![Part::Ours(response(call, output, is_native))])
            }
            Message::Assistant { text: said, tool_calls, native } => {
                let native =
                    wire::native(native.as_ref(), said, model_ref, |part| Some(text(part)));
                is_native = native.is_some();
                let parts = native.unwrap_or_else(|| foreign(said, tool_calls));
                ("model", parts)
            }
        };
        match contents.last_mut().filter(|content| content.role == role) {
            Some(content) => content.parts.append(&mut parts),
            None => contents.push(Content { role, parts }),
        }
    }
    for content in contents.iter_mut().filter(|content| content.parts.is_empty()) {
        content.parts.push(Part::Ours(text(NO_TEXT)));
    }
    contents
}

fn text(text: &str) -> WirePart<'_> {
    WirePart::Text { text }
}

fn file(file: &Attachment) -> WirePart<'_> {
    let (mime_type, data) = (file.media_type.name(), file.data());
    WirePart::File { inline_data: InlineData { mime_type, data } }
}

/// A turn of another server.
fn foreign<'a>(said: &'a str, calls: &'a [ToolCall]) -> Vec<Part<'a, WirePart<'a>>> {
    let said = Some(said).filter(|said| !said.trim().is_empty()).map(text);
    let calls = calls.iter().enumerate().map(|(at, call)| {
        // `arguments` returns an object, so this never fails.
        let args = serde_json::from_str(wire::arguments(&call.arguments));
        WirePart::Call {
            function_call: WireCall {
                name: wire::function_name(&call.name),
                args: args.unwrap_or(RawValue::NULL),
            },
            // One per step is enough.
            thought_signature: (at == 0).then_some(NO_SIGNATURE),
        }
    });
    said.into_iter().chain(calls).map(Part::Ours).collect()
}

fn response<'a>(call: &'a ToolCall, output: &'a str, is_native: bool) -> WirePart<'a> {
    let id = Some(call.id.as_str()).filter(|id| is_native && !id.starts_with(OWN_ID));
    // It has to be the name of its call.
    let name = if is_native && !call.name.is_empty() {
        Cow::Borrowed(call.name.as_str())
    } else {
        wire::function_name(&call.name)
    };
    WirePart::Response { function_response: WireResponse { id, name, response: Output { output } } }
}
