//! Answers and requests in the shapes of the vendor's documentation, and in others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::chunk::MAX_PARTS;
use super::{GEMINI, schema};
use crate::chat::{ChatReply, Message, NativePart, NativeTurn, TokenUsage, ToolCall, ToolSpec};
use crate::provider::answer::BodyError;
use crate::provider::calls::MAX_CALLS;
use crate::provider::request::ChatRequest;
use crate::provider::testing::{self, Emitted, MODEL_REF, request};
use crate::report::ErrorKind;

fn read(data: &[Value]) -> (Result<ChatReply, BodyError>, Emitted) {
    let data: Vec<String> = data.iter().map(Value::to_string).collect();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    testing::read(&GEMINI, &testing::events(&data), 4096)
}

fn parts(parts: Value) -> Value {
    json!({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}],
        "modelVersion": "m", "responseId": "r"})
}

fn text(text: &str) -> Value {
    parts(json!([{"text": text}]))
}

fn end(reason: &str) -> Value {
    json!({"candidates": [{"finishReason": reason, "index": 0}]})
}

#[test]
fn a_text_and_its_tokens() {
    let counted = |written: u64| {
        json!({"candidates": [{"content": {"parts": [{"text": "é"}]}}], "usageMetadata": {
            "promptTokenCount": 10, "cachedContentTokenCount": 4, "toolUsePromptTokenCount": 2,
            "candidatesTokenCount": written, "thoughtsTokenCount": 5, "totalTokenCount": 20}})
    };
    let (reply, emitted) = read(&[counted(1), counted(3), end("STOP")]);
    let reply = reply.unwrap_or_default();
    assert_eq!((emitted.text.as_str(), testing::finish_reason(&reply)), ("éé", Some("stop")));
    let expected = TokenUsage {
        input_tokens: 12,
        output_tokens: 8,
        cached_input_tokens: 4,
        cache_write_tokens: 0,
        reasoning_tokens: 5,
    };
    assert_eq!((emitted.usage, reply.usage), (expected, expected));
}

#[test]
fn reasoning_without_a_count_of_its_own_is_in_the_total() {
    for (total, output) in [(113, 103), (13, 3), (5, 3), (0, 3)] {
        let counted = json!({"candidates": [{"content": {"parts": [{"text": "x"}]}}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 3,
                "totalTokenCount": total}});
        let (_, emitted) = read(&[counted, end("STOP")]);
        assert_eq!((emitted.usage.input_tokens, emitted.usage.output_tokens), (10, output));
    }
}

#[test]
fn finish_reasons() {
    for (reason, expected) in
        [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SOMETHING_NEW", "something_new")]
    {
        let (reply, _) = read(&[text("hi"), end(reason)]);
        assert_eq!(testing::finish_reason(&reply.unwrap_or_default()), Some(expected));
    }
    for (reason, retryable) in [
        ("SAFETY", false),
        ("RECITATION", false),
        ("PROHIBITED_CONTENT", false),
        ("MALFORMED_FUNCTION_CALL", true),
        ("OTHER", true),
    ] {
        let (reply, emitted) = read(&[text("hi"), end(reason)]);
        let Err(BodyError::Withheld(withheld)) = reply else { panic!("{reason}: {reply:?}") };
        assert!(withheld.finish_reason.is_some());
        assert_eq!(withheld.cause.kind(), ErrorKind::InvalidResponse);
        assert_eq!(withheld.cause.is_retryable(), retryable);
        assert!(withheld.words.contains(reason), "{withheld:?}");
        assert_eq!(emitted.text, "hi");
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4}});
    let (reply, emitted) = read(&[blocked]);
    let Err(BodyError::Withheld(withheld)) = reply else { panic!("{reply:?}") };
    assert_eq!(withheld.finish_reason.as_deref(), Some("content_filter"));
    assert_eq!((withheld.cause.kind(), emitted.usage.input_tokens), (ErrorKind::BadRequest, 4));
}

#[test]
fn calls_arrive_whole_and_thoughts_are_kept_apart() {
    let signed = json!({"functionCall": {"name": "df", "args": {"path": "/"}, "id": "x1"},
        "thoughtSignature": "c2ln"});
    let (reply, emitted) = read(&[
        parts(json!([{"text": "hm", "thought": true}])),
        text("I "),
        text("look."),
        parts(json!([signed, {"functionCall": {"name": "ps"}}, {"inlineData": {}}])),
        parts(json!([{"text": "", "thoughtSignature": "dGV4dA"}])),
        end("STOP"),
    ]);
    let reply = reply.unwrap_or_default();
    assert_eq!(emitted.text, "I look.");
    let calls: Vec<_> = reply
        .tool_calls
        .iter()
        .map(crate::chat::RequestedCall::to_its_source)
        .map(|call| (call.id.as_str(), call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("x1", "df", r#"{"path":"/"}"#), ("crew-call-2", "ps", "{}")]);
    let message = Message::Assistant {
        text: emitted.text,
        tool_calls: testing::calls(&reply),
        native: reply.native,
    };
    let found = body(&request(&[message], &[]))["contents"][0]["parts"].clone();
    assert_eq!(
        found,
        json!([{"text": "I look."}, signed, {"functionCall": {"name": "ps"}},
            {"text": "", "thoughtSignature": "dGV4dA"}])
    );
}

#[test]
fn bodies_that_are_not_answers() {
    let error = json!({"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}});
    let is_overload = |error: BodyError| match error {
        BodyError::Server(error) => error.verdict(None).retryable,
        _ => false,
    };
    assert!(read(&[text("hi"), error.clone()]).0.is_err_and(is_overload));
    let list = json!([error]).to_string();
    let listed = testing::read(&GEMINI, list.as_bytes(), 4096).0;
    assert!(listed.is_err_and(is_overload));
    assert_eq!(read(&[text("hi")]).0, Err(BodyError::Ended));
    assert_eq!(read(&[json!({"usageMetadata": {}})]).0, Err(BodyError::Ended));
    assert!(matches!(
        testing::read(&GEMINI, br#"{"usageMetadata": {}}"#, 4096).0,
        Err(BodyError::NoAnswer(_))
    ));
    // A call is complete by itself, and crew asks for the first candidate only.
    let call = parts(json!([{"functionCall": {"name": "df"}}]));
    assert_eq!(read(&[call]).0.unwrap_or_default().tool_calls.len(), 1);
    let second = json!({"candidates": [{"index": 1, "content": {"parts": [{"text": "no"}]}}]});
    let (reply, emitted) = read(&[text("hi"), second, end("STOP")]);
    assert_eq!((reply.is_ok(), emitted.text.as_str()), (true, "hi"));
}

#[test]
fn an_answer_is_limited() {
    let call = json!({"functionCall": {"name": "df"}});
    let many: Vec<Value> = vec![parts(json!([call])); MAX_CALLS + 1];
    assert_eq!(testing::read(&GEMINI, &stream(&many), 1 << 20).0, Err(BodyError::TooManyCalls));
    let parts_of_one = parts(vec![json!({}); 1000].into());
    assert_eq!(read(&[parts_of_one]).0, Err(BodyError::TooManyBlocks(MAX_PARTS)));
    let thought = parts(json!([{"text": "x".repeat(3000), "thought": true}]));
    assert_eq!(read(&[thought.clone(), thought]).0, Err(BodyError::AnswerTooLarge));
    let signed = parts(json!([{"text": "", "thoughtSignature": "x".repeat(3000)}]));
    assert_eq!(read(&[signed.clone(), signed]).0, Err(BodyError::AnswerTooLarge));
}

fn stream(data: &[Value]) -> Vec<u8> {
    let data: Vec<String> = data.iter().map(Value::to_string).collect();
    testing::events(&data.iter().map(String::as_str).collect::<Vec<_>>())
}

fn body(request: &ChatRequest<'_>) -> Value {
    testing::body(&GEMINI, request)
}

#[test]
fn urls() {
    let url = |model: &str| {
        let base = reqwest::Url::parse("http://h/");
        base.map(|base| (GEMINI.url)(&base, model).to_string()).unwrap_or_default()
    };
    let expected = "http://h/v1beta/models/gemini-x:streamGenerateContent?alt=sse";
    assert_eq!(url("gemini-x"), expected);
    assert_eq!(url("models/gemini-x"), expected);
    let expected = "http://h/v1beta/models/google/gemini-x:streamGenerateContent?alt=sse";
    assert_eq!(url("google/gemini-x"), expected);
    assert_eq!(
        url("tunedModels/a b?c"),
        "http://h/v1beta/tunedModels/a%20b%3Fc:streamGenerateContent?alt=sse"
    );
}

#[test]
fn a_plain_question() {
    let messages = [Message::System("be brief".into()), Message::User("hi".into())];
    let tool = |name: &str, parameters: Value| ToolSpec {
        name: name.into(),
        description: String::new(),
        parameters: Arc::new(parameters),
    };
    let tools = [
        tool("now", json!({"type": "object", "properties": {}, "additionalProperties": false})),
        tool("df", json!({"type": "object", "properties": {"n": {"type": "integer"}}})),
    ];
    let mut request = request(&messages, &tools);
    request.settings.temperature = Some(0.5);
    request.settings.max_output_tokens = Some(9);
    assert_eq!(
        body(&request),
        json!({
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "tools": [{"functionDeclarations": [
                {"name": "now", "description": "now"},
                {"name": "df", "description": "df",
                    "parametersJsonSchema":
                        {"type": "object", "properties": {"n": {"type": "integer"}}}},
            ]}],
            "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9},
        })
    );
}

fn call(id: &str, name: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: "{\"n\":1}".into() }
}

#[test]
fn turns_of_this_server_and_of_others() {
    let calls = vec![call("x1", "df:x"), call("crew-call-2", "ps")];
    let native = NativeTurn {
        model_ref: MODEL_REF.into(),
        parts: [NativePart::Json("{\"own\":1}".to_owned())].into(),
    };
    let turn =
        |native| Message::Assistant { text: String::new(), tool_calls: calls.clone(), native };
    let result = |at: usize| Message::Tool { call: calls[at].clone(), output: "full".into() };
    let messages = [
        Message::User(String::new()),
        turn(Some(native)),
        result(0),
        result(1),
        turn(None),
        result(0),
        result(1),
    ];
    let response =
        |name: &str| json!({"functionResponse": {"name": name, "response": {"output": "full"}}});
    let mut with_id = response("df:x");
    with_id["functionResponse"]["id"] = "x1".into();
    assert_eq!(
        body(&request(&messages, &[]))["contents"],
        json!([
            {"role": "user", "parts": [{"text": "(empty)"}]},
            {"role": "model", "parts": [{"own": 1}]},
            {"role": "user", "parts": [with_id, response("ps")]},
            {"role": "model", "parts": [
                {"functionCall": {"name": "df_x", "args": {"n": 1}},
                    "thoughtSignature": "skip_thought_signature_validator"},
                {"functionCall": {"name": "ps", "args": {"n": 1}}},
            ]},
            {"role": "user", "parts": [response("df_x"), response("ps")]},
        ])
    );
}

#[test]
fn schemas() {
    let reduced = |property: Value| {
        let parameters = json!({"$schema": "x", "type": "object", "additionalProperties": false,
            "properties": {"a": property}, "required": ["a", "b"],
            "$defs": {"d": {"type": "boolean"}, "loop": {"$ref": "#/$defs/loop"}}});
        let found = schema::of(&parameters).unwrap_or_default();
        assert_eq!((&found["required"], found.get("$schema")), (&json!(["a"]), None));
        assert_eq!(found.get("additionalProperties"), None);
        found["properties"]["a"].clone()
    };
    let any = || {
        json!({"anyOf": [
            {"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "object"},
            {"type": "array", "items": {"type": "string"}},
        ]})
    };
    for (property, expected) in [
        (json!({}), any()),
        (json!(true), any()),
        (
            json!({"type": "string", "default": "/", "examples": ["x"], "format": "uri", "minLength": 1}),
            json!({"type": "string", "minLength": 1}),
        ),
        (json!({"const": "x"}), json!({"type": "string", "enum": ["x"], "format": "enum"})),
        (
            json!({"type": "integer", "enum": [1, 2]}),
            json!({"type": "integer", "description": "One of: [1,2]"}),
        ),
        (
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9, "multipleOf": 2}),
            json!({"type": "integer", "minimum": 1, "maximum": 8}),
        ),
        (
            json!({"type": "number", "exclusiveMinimum": 0.5}),
            json!({"type": "number", "minimum": 0.5}),
        ),
        (
            json!({"type": ["integer", "null"], "description": "d"}),
            json!({"type": "integer", "nullable": true, "description": "d"}),
        ),
        (
            json!({"type": ["integer", "string"], "minimum": 1, "description": "d"}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}], "description": "d"}),
        ),
        (
            json!({"oneOf": [{"type": "integer"}, {"type": "null"}], "description": "d"}),
            json!({"type": "integer", "nullable": true, "description": "d"}),
        ),
        (
            json!({"anyOf": [{"type": "integer"}, {"const": "x"}]}),
            json!({"anyOf": [{"type": "integer"},
                {"type": "string", "enum": ["x"], "format": "enum"}]}),
        ),
        (json!({"type": "array", "uniqueItems": true}), json!({"type": "array", "items": any()})),
        (
            json!({"items": {"$ref": "#/$defs/d"}}),
            json!({"type": "array", "items": {"type": "boolean"}}),
        ),
        (json!({"$ref": "#/$defs/loop"}), any()),
        (json!({"$ref": "http://h"}), any()),
    ] {
        assert_eq!(reduced(property.clone()), expected, "{property}");
    }
}
