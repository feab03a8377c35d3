//! From a [`ChatRequest`] to the JSON of the API, without copying the messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::kept;
use crate::chat::{Attachment, Effort, Message, ToolCall, ToolSpec};
use crate::provider::output_format::{is_object, is_strict};
use crate::provider::quirks::Quirks;
use crate::provider::request::ChatRequest;
use crate::provider::turn_quirks::TurnQuirks;
use crate::provider::wire;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    /// In place of `reasoning_effort`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Cow<'a, str>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<ContentPart<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentPart<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
    File { file: File<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

#[derive(Serialize)]
struct File<'a> {
    filename: &'a str,
    file_data: &'a str,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: Cow<'a, str>,
    r#type: &'static str,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: Cow<'a, str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    function: WireSpec<'a>,
}

#[derive(Serialize)]
struct WireSpec<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Value,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    r#type: &'static str,
    json_schema: NamedSchema<'a>,
}

#[derive(Serialize)]
struct NamedSchema<'a> {
    name: &'static str,
    schema: &'a Value,
    /// Asks the server to constrain the model's output to the schema.
    strict: bool,
}

/// The API's output format, which accepts objects only.
fn response_format(schema: &Value) -> Option<ResponseFormat<'_>> {
    let json_schema = NamedSchema { name: "answer", schema, strict: is_strict(schema) };
    is_object(schema).then_some(ResponseFormat { r#type: "json_schema", json_schema })
}

/// The body of a request to the model that `model_ref` names as `provider/model`.
pub fn to_json(
    request: &ChatRequest<'_>,
    model_ref: &str,
    quirks: Quirks,
) -> serde_json::Result<Vec<u8>> {
    let is_renamed = quirks.max_completion_tokens;
    let effort = request.settings.effort.map(Effort::name);
    let (nested, flat) = if quirks.nested_effort { (effort, None) } else { (None, effort) };
    serde_json::to_vec(&Body {
        model: request.model,
        messages: messages(request.messages, model_ref, quirks.turns),
        tools: request.tools.iter().map(tool).collect(),
        response_format: request.output_schema.and_then(|schema| response_format(schema.schema())),
        stream: true,
        stream_options: (!quirks.no_stream_options)
            .then_some(StreamOptions { include_usage: true }),
        temperature: request.settings.temperature,
        top_p: request.settings.top_p,
        stop: &request.settings.stop,
        seed: request.settings.seed,
        reasoning_effort: flat,
        reasoning: nested.map(|effort| Reasoning { effort }),
        max_tokens: request.settings.max_output_tokens.filter(|_| !is_renamed),
        max_completion_tokens: request.settings.max_output_tokens.filter(|_| is_renamed),
    })
}

/// Files and the user's message after them become one message.
fn messages<'a>(
    messages: &'a [Message],
    model_ref: &str,
    quirks: TurnQuirks,
) -> Vec<WireMessage<'a>> {
    let mut wire: Vec<WireMessage<'a>> = Vec::new();
    for one in messages {
        let last = wire.last_mut().and_then(|last| last.content.as_mut());
        match (one, last) {
            (Message::User(text), Some(Content::Parts(parts))) => {
                parts.push(ContentPart::Text { text });
            }
            _ => wire.push(message(one, model_ref, quirks)),
        }
    }
    wire
}

fn file(file: &Attachment) -> ContentPart<'_> {
    if file.media_type.is_image() {
        return ContentPart::ImageUrl { image_url: ImageUrl { url: &file.url } };
    }
    ContentPart::File { file: File { filename: &file.name, file_data: &file.url } }
}

fn message<'a>(message: &'a Message, model_ref: &str, quirks: TurnQuirks) -> WireMessage<'a> {
    let with = |role, content| WireMessage {
        role,
        content: Some(content),
        reasoning_content: None,
        reasoning_details: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
    };
    let plain = |role, text| with(role, Content::Text(text));
    match message {
        Message::System(text) => plain("system", text),
        Message::User(text) => plain("user", text),
        Message::Files(files) | Message::ToolImages(files) => {
            with("user", Content::Parts(files.iter().map(file).collect()))
        }
        Message::Assistant { text, tool_calls, .. } if tool_calls.is_empty() => WireMessage {
            reasoning_content: kept::demanded(None, quirks),
            ..plain("assistant", text)
        },
        Message::Assistant { text, tool_calls, native } => {
            let fields = kept::fields(native.as_ref(), model_ref);
            let extra = |call: &ToolCall| fields.extra_content.get(call.id.as_str()).copied();
            WireMessage {
                content: Some(text.as_str()).filter(|text| !text.is_empty()).map(Content::Text),
                reasoning_content: kept::demanded(fields.reasoning_content, quirks),
                reasoning_details: fields.reasoning_details,
                tool_calls: tool_calls.iter().map(|one| call(one, extra(one), quirks)).collect(),
                ..plain("assistant", text)
            }
        }
        Message::Tool { call, output } => {
            WireMessage { tool_call_id: Some(id(call, quirks)), ..plain("tool", output) }
        }
    }
}

fn id(call: &ToolCall, quirks: TurnQuirks) -> Cow<'_, str> {
    if quirks.short_ids { wire::short_id(&call.id) } else { Cow::Borrowed(&call.id) }
}

fn call<'a>(
    call: &'a ToolCall,
    extra_content: Option<&'a RawValue>,
    quirks: TurnQuirks,
) -> WireCall<'a> {
    let arguments = wire::arguments(&call.arguments);
    let function = WireFunction { name: wire::function_name(&call.name), arguments };
    WireCall { id: id(call, quirks), r#type: "function", function, extra_content }
}

fn tool(tool: &ToolSpec) -> WireTool<'_> {
    let function =
        WireSpec { name: &tool.name, description: &tool.description, parameters: &tool.parameters };
    WireTool { r#type: "function", function }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::chat::{NativePart, NativeTurn};
    use crate::provider::testing::{MODEL_REF, request};

    fn body(request: &ChatRequest<'_>, host: &str) -> Value {
        let json = to_json(request, MODEL_REF, Quirks::of_host(host)).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    }

    #[test]
    fn a_plain_question() {
        let messages = [Message::System("be brief".into()), Message::User("hi".into())];
        assert_eq!(
            body(&request(&messages, &[]), "localhost"),
            json!({
                "model": "m",
                "messages": [
                    {"role": "system", "content": "be brief"},
                    {"role": "user", "content": "hi"},
                ],
                "stream": true,
                "stream_options": {"include_usage": true},
            })
        );
    }

    #[test]
    fn options_and_tools() {
        let tools = [ToolSpec {
            name: "df".into(),
            description: "disk".into(),
            parameters: Arc::new(json!({"type": "object"})),
        }];
        let mut request = request(&[], &tools);
        request.settings.temperature = Some(0.5);
        request.settings.max_output_tokens = Some(9);
        let found = body(&request, "localhost");
        assert_eq!(found["temperature"], 0.5);
        assert_eq!((&found["max_tokens"], found.get("max_completion_tokens")), (&json!(9), None));
        assert_eq!(
            found["tools"],
            json!([{"type": "function", "function":
                {"name": "df", "description": "disk", "parameters": {"type": "object"}}}])
        );
        let found = body(&request, "api.openai.com");
        assert_eq!((&found["max_completion_tokens"], found.get("max_tokens")), (&json!(9), None));
    }

    #[test]
    fn calls_are_sent_back_in_a_form_that_servers_accept() {
        let call = |id: &str, name: &str, arguments: &str| ToolCall {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
        };
        let calls = vec![
            call("a", "df", r#"{"path": "/"}"#),
            call("b", "no such\ntool", "{\"path\": "),
            call("c", "", "[1]"),
        ];
        let result = Message::Tool { call: calls[0].clone(), output: "full".into() };
        let messages = [Message::assistant(String::new(), calls), result];
        let function = |name, arguments| json!({"name": name, "arguments": arguments});
        assert_eq!(
            body(&request(&messages, &[]), "localhost")["messages"],
            json!([
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "a", "type": "function", "function": function("df", r#"{"path": "/"}"#)},
                    {"id": "b", "type": "function", "function": function("no_such_tool", "{}")},
                    {"id": "c", "type": "function", "function": function("unnamed", "{}")},
                ]},
                {"role": "tool", "content": "full", "tool_call_id": "a"},
            ])
        );
    }

    #[test]
    fn reasoning_is_sent_back_to_its_own_model_only() {
        let calls = || vec![ToolCall { id: "a".into(), name: "df".into(), arguments: "{}".into() }];
        let turn = |model_ref: &str| {
            let parts = [NativePart::Json(r#"{"reasoning_content":"hm"}"#.to_owned())].into();
            let native = NativeTurn { model_ref: model_ref.into(), parts };
            Message::Assistant { text: String::new(), tool_calls: calls(), native: Some(native) }
        };
        let messages = [turn(MODEL_REF), turn("elsewhere/m")];
        let found = &body(&request(&messages, &[]), "localhost")["messages"];
        assert_eq!(found[0]["reasoning_content"], "hm");
        assert_eq!(found[1].get("reasoning_content"), None);
    }
}
