//! Answers and requests in the shapes of the vendor's documentation, and in others.

use std::sync::Arc;

use serde_json::{Value, json};

use super::ANTHROPIC;
use super::event::MAX_BLOCKS;
use crate::chat::{ChatReply, Message, NativePart, NativeTurn, TokenUsage, ToolCall, ToolSpec};
use crate::provider::answer::{BodyError, Withheld};
use crate::provider::calls::MAX_CALLS;
use crate::provider::finish::Cause;
use crate::provider::request::ChatRequest;
use crate::provider::testing::{self, Emitted, MODEL_REF, request};

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","content":[],"model":"m","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":100,"cache_read_input_tokens":50,"output_tokens":1}}}"#;
const PING: &str = r#"{"type": "ping"}"#;
const TEXT: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const HI: &str =
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hé"}}"#;
const CLOSE: &str = r#"{"type":"content_block_stop","index":0}"#;
const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15,"output_tokens_details":{"thinking_tokens":7}}}"#;
const STOP: &str = r#"{"type":"message_stop"}"#;

fn read(data: &[&str]) -> (Result<ChatReply, BodyError>, Emitted) {
    testing::read(&ANTHROPIC, &testing::events(data), 4096)
}

fn delta(index: u32, kind: &str, key: &str, value: &str) -> String {
    json!({"type": "content_block_delta", "index": index, "delta": {"type": kind, key: value}})
        .to_string()
}

fn begin(index: u32, block: Value) -> String {
    json!({"type": "content_block_start", "index": index, "content_block": block}).to_string()
}

fn stopped(reason: &str) -> String {
    json!({"type": "message_delta", "delta": {"stop_reason": reason}}).to_string()
}

#[test]
fn a_text_and_its_tokens() {
    let (reply, emitted) = read(&[START, PING, TEXT, HI, PING, CLOSE, END, STOP]);
    let reply = reply.unwrap_or_default();
    assert_eq!((emitted.text.as_str(), testing::finish_reason(&reply)), ("hé", Some("stop")));
    assert_eq!((reply.native, reply.has_text), (None, true));
    let expected = TokenUsage {
        input_tokens: 175,
        output_tokens: 15,
        cached_input_tokens: 50,
        cache_write_tokens: 100,
        reasoning_tokens: 7,
    };
    assert_eq!((emitted.usage, reply.usage), (expected, expected));
}

#[test]
fn stop_reasons() {
    for (reason, expected) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("tired", "tired"),
    ] {
        let (reply, _) = read(&[START, TEXT, HI, &stopped(reason), STOP]);
        assert_eq!(testing::finish_reason(&reply.unwrap_or_default()), Some(expected));
    }
    for reason in ["pause_turn", "error"] {
        let (reply, _) = read(&[START, TEXT, HI, &stopped(reason), STOP]);
        let withheld = match reply {
            Err(BodyError::Withheld(withheld)) => withheld,
            other => panic!("{reason}: {other:?}"),
        };
        assert_eq!(
            (withheld.cause, &*withheld.words),
            (Cause::Aborted, &*format!("stop_reason: {reason}"))
        );
    }
    let (reply, emitted) = read(&[START, TEXT, HI, &stopped("refusal"), STOP]);
    assert!(matches!(
        reply,
        Err(BodyError::Withheld(Withheld {
            cause: Cause::ModelRefused,
            finish_reason: Some(_),
            ..
        }))
    ));
    assert_eq!(emitted.text, "hé");
}

/// The thinking, its text, two calls; with what is not ours to know between them.
fn turn_with_calls() -> Vec<String> {
    vec![
        START.to_owned(),
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, "thinking_delta", "thinking", "let me "),
        delta(0, "thinking_delta", "thinking", "see"),
        delta(0, "signature_delta", "signature", "EqQBCg"),
        begin(1, json!({"type": "redacted_thinking", "data": "EmwKAh"})),
        begin(2, json!({"type": "text", "text": ""})),
        delta(2, "text_delta", "text", "I look."),
        begin(3, json!({"type": "tool_use", "id": "toolu_1", "name": "df", "input": {}})),
        delta(3, "input_json_delta", "partial_json", ""),
        delta(3, "input_json_delta", "partial_json", "{\"path\": \"/"),
        delta(3, "input_json_delta", "partial_json", "tmp\"}"),
        begin(4, json!({"type": "server_thing", "what": [1]})),
        delta(4, "thing_delta", "x", "y"),
        r#"{"type":"new_event","index":4}"#.to_owned(),
        begin(5, json!({"type": "tool_use", "id": "toolu_2", "name": "ps", "input": {}})),
        stopped("tool_use"),
        STOP.to_owned(),
    ]
}

#[test]
fn calls_are_assembled_and_thinking_is_kept_apart() {
    let events = turn_with_calls();
    let (reply, emitted) = read(&events.iter().map(String::as_str).collect::<Vec<_>>());
    let reply = reply.unwrap_or_default();
    assert_eq!(emitted.text, "I look.");
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
    };
    let expected = [call("toolu_1", "df", r#"{"path": "/tmp"}"#), call("toolu_2", "ps", "{}")];
    assert_eq!(testing::calls(&reply), expected);
    let message = Message::Assistant {
        text: emitted.text,
        tool_calls: testing::calls(&reply),
        native: reply.native,
    };
    let found = body(&request(&[message], &[]))["messages"][0]["content"].clone();
    assert_eq!(
        found,
        json!([
            {"type": "thinking", "thinking": "let me see", "signature": "EqQBCg"},
            {"type": "redacted_thinking", "data": "EmwKAh"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "df", "input": {"path": "/tmp"}},
            {"type": "tool_use", "id": "toolu_2", "name": "ps", "input": {}},
        ])
    );
}

#[test]
fn responses_of_other_servers() {
    let whole = json!({"type": "message", "role": "assistant", "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "content": [{"type": "text", "text": "hi"},
            {"type": "tool_use", "name": "df", "input": {"path": "/"}}]});
    let (reply, emitted) = testing::read(&ANTHROPIC, whole.to_string().as_bytes(), 4096);
    let reply = reply.unwrap_or_default();
    assert_eq!((emitted.text.as_str(), testing::calls(&reply)[0].id.as_str()), ("hi", "call_1"));
    assert_eq!(testing::calls(&reply)[0].arguments, r#"{"path":"/"}"#);

    // Arguments complete at the start and again in fragments; interleaved texts.
    let (reply, emitted) = read(&[
        &begin(0, json!({"type": "tool_use", "id": "a", "name": "df", "input": {"n": 1}})),
        &delta(0, "input_json_delta", "partial_json", "{\"n\":1}"),
        &begin(0, json!({"type": "tool_use", "id": "b", "name": "df", "input": {}})),
        &delta(0, "input_json_delta", "partial_json", "{\"n\":2}"),
        &delta(1, "text_delta", "text", "a"),
        &delta(2, "text_delta", "text", "b"),
        &delta(1, "text_delta", "text", "c"),
        STOP,
    ]);
    let reply = reply.unwrap_or_default();
    let arguments: Vec<_> =
        reply.tool_calls.iter().map(|call| call.to_its_source().arguments.as_str()).collect();
    assert_eq!((emitted.text.as_str(), arguments), ("abc", vec!["{\"n\":1}", "{\"n\":2}"]));
}

#[test]
fn bodies_that_are_not_answers() {
    let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let is_server_error = |error: &BodyError| match error {
        BodyError::Server(error) => error.verdict(None).retryable,
        _ => false,
    };
    assert!(read(&[START, TEXT, HI, error]).0.is_err_and(|error| is_server_error(&error)));
    assert_eq!(read(&[START, TEXT, HI, CLOSE]).0, Err(BodyError::Ended));
    assert_eq!(read(&[START]).0, Err(BodyError::Ended));
    assert!(matches!(read(&[r#"{"choices":[]}"#, "[DONE]"]).0, Err(BodyError::NoAnswer(_))));
    assert!(matches!(
        read(&["{nonsense"]).0,
        Err(BodyError::Unreadable(_)) | Err(BodyError::Ended)
    ));
    // Only the end of the stream is missing.
    assert!(read(&[START, TEXT, HI, END]).0.is_ok());
}

#[test]
fn the_parts_of_an_answer_are_limited() {
    let block = begin(0, json!({"type": "text", "text": ""}));
    let (reply, _) = read(&vec![block.as_str(); 2000]);
    assert_eq!(reply, Err(BodyError::TooManyBlocks(MAX_BLOCKS)));
    let call = begin(0, json!({"type": "tool_use", "id": "", "name": "", "input": {}}));
    let (reply, _) = read(&vec![call.as_str(); MAX_CALLS + 1]);
    assert_eq!(reply, Err(BodyError::TooManyCalls));
    let thought = begin(0, json!({"type": "thinking", "thinking": "x".repeat(3000)}));
    assert_eq!(read(&[&thought, &thought]).0, Err(BodyError::AnswerTooLarge));
}

fn body(request: &ChatRequest<'_>) -> Value {
    testing::body(&ANTHROPIC, request)
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() }
}

#[test]
fn a_plain_question() {
    let messages = [
        Message::System("be brief".into()),
        Message::System(" ".into()),
        Message::User("hi".into()),
    ];
    let tools = [ToolSpec {
        name: "df".into(),
        description: String::new(),
        parameters: Arc::new(json!({"type": "object"})),
    }];
    let mut request = request(&messages, &tools);
    request.settings.temperature = Some(0.5);
    assert_eq!(
        body(&request),
        json!({
            "model": "m",
            "max_tokens": 8192,
            "system": "be brief",
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
            "tools": [{"name": "df", "input_schema": {"type": "object"}}],
            "temperature": 0.5,
            "stream": true,
        })
    );
    request.settings.max_output_tokens = Some(9);
    assert_eq!(body(&request)["max_tokens"], 9);
}

#[test]
fn a_turn_with_calls_and_all_its_results() {
    let calls = vec![call("a", "df", r#"{"n": 1}"#), call("b.2", "no such\ntool", "{\"n\": ")];
    let result =
        |at: usize, output: &str| Message::Tool { call: calls[at].clone(), output: output.into() };
    let messages = [
        Message::User("  ".into()),
        Message::assistant(" \n".into(), calls.clone()),
        result(0, "full"),
        result(1, ""),
        Message::User("go on".into()),
    ];
    assert_eq!(
        body(&request(&messages, &[]))["messages"],
        json!([
            {"role": "user", "content": [{"type": "text", "text": "(empty)"}]},
            {"role": "assistant", "content": [
                {"type": "tool_use", "id": "a", "name": "df", "input": {"n": 1}},
                {"type": "tool_use", "id": "id_622e32", "name": "no_such_tool", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "full"},
                {"type": "tool_result", "tool_use_id": "id_622e32"},
                {"type": "text", "text": "go on"},
            ]},
        ])
    );
}

#[test]
fn a_turn_is_sent_back_unchanged_to_its_own_server_only() {
    let thinking = r#"{"type":"thinking","thinking":"hm","signature":"s"}"#.to_owned();
    let parts = [NativePart::Json(thinking), NativePart::Text(0..4), NativePart::Text(9..99)];
    let turn = |model_ref: &str| Message::Assistant {
        text: "I look.".into(),
        tool_calls: vec![call("a", "df", "{}")],
        native: Some(NativeTurn { model_ref: model_ref.into(), parts: parts.clone().into() }),
    };
    let messages = [turn(MODEL_REF), Message::User("x".into()), turn("here/another")];
    let found = &body(&request(&messages, &[]))["messages"];
    assert_eq!(
        found[0]["content"],
        json!([{"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "I lo"}])
    );
    let kinds = found[2]["content"]
        .as_array()
        .map(|content| content.iter().map(|block| block["type"].clone()).collect::<Vec<_>>());
    assert_eq!(kinds, Some(vec![json!("text"), json!("tool_use")]));
}
