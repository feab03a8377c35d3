//! From a [`ChatRequest`] to the JSON of the protocol. Pure, and without copying the messages.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::chat::{Message, NativeTurn, ToolCall, ToolSpec};
use crate::provider::ChatRequest;
use crate::provider::format;
use crate::provider::wire::{self, Part};
use crate::vendor;

/// What the limit of output tokens is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenLimitKey {
    /// What every server but OpenAI's own knows.
    MaxTokens,
    /// OpenAI's newer models refuse the old name.
    MaxCompletionTokens,
}

impl TokenLimitKey {
    pub fn of_host(host: &str) -> Self {
        if vendor::renames_token_limit(host) { Self::MaxCompletionTokens } else { Self::MaxTokens }
    }
}

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
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireMessage<'a> {
    role: &'static str,
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireFunction<'a>,
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
    /// The server is to let the model write nothing else.
    strict: bool,
}

/// How the protocol asks for an answer that fits; it knows no other answers than objects.
fn response_format(schema: &Value) -> Option<ResponseFormat<'_>> {
    let strict = format::is_strict(schema);
    let json_schema = NamedSchema { name: "answer", schema, strict };
    format::is_object(schema).then_some(ResponseFormat { r#type: "json_schema", json_schema })
}

/// Its own reasoning, for a server that demands it back with the calls it led to.
fn reasoning<'a>(turn: Option<&'a NativeTurn>, by: &str) -> Option<&'a RawValue> {
    let parts = wire::native(turn, "", by, |_| None::<()>)?;
    parts.into_iter().find_map(|part| match part {
        Part::Native(json) => Some(json),
        Part::Ours(()) => None,
    })
}

/// The body of the request. `by` is who will answer it. `include_usage`: the tokens are asked for.
pub fn to_json(
    request: &ChatRequest<'_>,
    by: &str,
    limit: TokenLimitKey,
    include_usage: bool,
) -> serde_json::Result<Vec<u8>> {
    let of = |key| request.max_output_tokens.filter(|_| limit == key);
    serde_json::to_vec(&Body {
        model: request.model,
        messages: request.messages.iter().map(|of| message(of, by)).collect(),
        tools: request.tools.iter().map(tool).collect(),
        response_format: request.output_schema.and_then(|schema| response_format(schema.schema())),
        stream: true,
        stream_options: include_usage.then_some(StreamOptions { include_usage }),
        temperature: request.temperature,
        max_tokens: of(TokenLimitKey::MaxTokens),
        max_completion_tokens: of(TokenLimitKey::MaxCompletionTokens),
    })
}

fn message<'a>(message: &'a Message, by: &str) -> WireMessage<'a> {
    let plain = |role, content| WireMessage {
        role,
        content: Some(content),
        reasoning_content: None,
        tool_calls: Vec::new(),
        tool_call_id: None,
    };
    match message {
        Message::System(text) => plain("system", text),
        Message::User(text) => plain("user", text),
        Message::Assistant { text, tool_calls, .. } if tool_calls.is_empty() => {
            plain("assistant", text)
        }
        Message::Assistant { text, tool_calls, native } => WireMessage {
            content: Some(text.as_str()).filter(|text| !text.is_empty()),
            reasoning_content: reasoning(native.as_ref(), by),
            tool_calls: tool_calls.iter().map(call).collect(),
            ..plain("assistant", text)
        },
        Message::Tool { call, output } => {
            WireMessage { tool_call_id: Some(&call.id), ..plain("tool", output) }
        }
    }
}

fn call(call: &ToolCall) -> WireCall<'_> {
    let arguments = wire::arguments(&call.arguments);
    let function = WireFunction { name: wire::function_name(&call.name), arguments };
    WireCall { id: &call.id, r#type: "function", function }
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
    use crate::chat::NativePart;
    use crate::provider::testing::{BY, request};

    fn body(request: &ChatRequest<'_>, limit: TokenLimitKey) -> Value {
        serde_json::from_slice(&to_json(request, BY, limit, true).unwrap_or_default())
            .unwrap_or_default()
    }

    #[test]
    fn a_plain_question() {
        let messages = [Message::System("be brief".into()), Message::User("hi".into())];
        assert_eq!(
            body(&request(&messages, &[]), TokenLimitKey::MaxTokens),
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
        let request = ChatRequest {
            temperature: Some(0.5),
            max_output_tokens: Some(9),
            ..request(&[], &tools)
        };
        let found = body(&request, TokenLimitKey::of_host("localhost"));
        assert_eq!(found["temperature"], 0.5);
        assert_eq!((&found["max_tokens"], found.get("max_completion_tokens")), (&json!(9), None));
        assert_eq!(
            found["tools"],
            json!([{"type": "function", "function":
                {"name": "df", "description": "disk", "parameters": {"type": "object"}}}])
        );
        let found = body(&request, TokenLimitKey::of_host("api.openai.com"));
        assert_eq!((&found["max_completion_tokens"], found.get("max_tokens")), (&json!(9), None));
    }

    #[test]
    fn calls_go_back_in_a_form_that_servers_accept() {
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
            body(&request(&messages, &[]), TokenLimitKey::MaxTokens)["messages"],
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
    fn reasoning_goes_back_to_the_server_it_came_from() {
        let calls = || vec![ToolCall { id: "a".into(), name: "df".into(), arguments: "{}".into() }];
        let by = |by: &str| {
            let parts = [NativePart::Json("\"hm\"".to_owned())].into();
            let native = NativeTurn { by: by.into(), parts };
            Message::Assistant { text: String::new(), tool_calls: calls(), native: Some(native) }
        };
        let messages = [by(BY), by("elsewhere/m")];
        let found = &body(&request(&messages, &[]), TokenLimitKey::MaxTokens)["messages"];
        assert_eq!(found[0]["reasoning_content"], "hm");
        assert_eq!(found[1].get("reasoning_content"), None);
    }
}
