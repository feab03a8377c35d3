//! Answers and requests in the shapes of the vendor's documentation:
//! <https://platform.openai.com/docs/api-reference/responses-streaming>,
//! <https://platform.openai.com/docs/api-reference/responses/create> and
//! <https://www.openresponses.org/openapi/openapi.json>.

use std::sync::Arc;

use serde_json::{Value, json};

use super::RESPONSES;
use crate::chat::{
    ChatReply, Effort, Message, NativePart, NativeTurn, TokenUsage, ToolCall, ToolSpec,
};
use crate::provider::answer::{BodyError, Withheld};
use crate::provider::finish::Cause;
use crate::provider::testing::{self, Emitted, request};

fn read(events: &[Value]) -> (Result<ChatReply, BodyError>, Emitted) {
    let data: Vec<String> = events.iter().map(Value::to_string).collect();
    let data: Vec<&str> = data.iter().map(String::as_str).collect();
    testing::read(&RESPONSES, &testing::events(&data), 4096)
}

fn created() -> Value {
    json!({"type": "response.created", "sequence_number": 0,
        "response": {"id": "resp_1", "object": "response", "status": "in_progress",
            "error": null, "incomplete_details": null, "output": [], "usage": null}})
}

fn delta(kind: &str, index: u64, text: &str) -> Value {
    json!({"type": format!("response.{kind}.delta"), "output_index": index, "item_id": "i",
        "content_index": 0, "delta": text})
}

fn item(step: &str, index: u64, item: &Value) -> Value {
    json!({"type": format!("response.output_item.{step}"), "output_index": index, "item": item})
}

fn end(status: &str, more: &Value) -> Value {
    let mut response = json!({"id": "resp_1", "object": "response", "status": status,
        "error": null, "incomplete_details": null, "output": [],
        "usage": {"input_tokens": 75, "input_tokens_details": {"cached_tokens": 32},
            "output_tokens": 1186, "output_tokens_details": {"reasoning_tokens": 1024},
            "total_tokens": 1261}});
    for (key, value) in more.as_object().into_iter().flatten() {
        response[key] = value.clone();
    }
    json!({"type": format!("response.{status}"), "response": response})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
        "content": [{"type": "output_text", "text": text, "annotations": []}]})
}

fn reasoning() -> Value {
    json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"})
}

fn function_call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "call_1",
        "name": "df", "arguments": arguments})
}

#[test]
fn a_text_and_its_tokens() {
    let (reply, emitted) = read(&[
        created(),
        json!({"type": "response.in_progress", "response": {}}),
        item("added", 0, &message("")),
        json!({"type": "response.content_part.added", "output_index": 0, "part": {}}),
        delta("output_text", 0, "hé"),
        delta("output_text", 0, "llo"),
        json!({"type": "response.output_text.done", "output_index": 0, "text": "héllo"}),
        item("done", 0, &message("héllo")),
        end("completed", &json!({})),
    ]);
    let reply = reply.unwrap_or_default();
    assert_eq!((&*emitted.text, testing::finish_reason(&reply)), ("héllo", Some("stop")));
    let expected = TokenUsage {
        input_tokens: 75,
        output_tokens: 1186,
        cached_input_tokens: 32,
        cache_write_tokens: 0,
        reasoning_tokens: 1024,
    };
    assert_eq!((emitted.usage, reply.usage, reply.native), (expected, expected, None));
}

/// The items of a turn as the server sent them, between its start and end.
fn turn() -> Vec<Value> {
    vec![
        created(),
        item("added", 0, &json!({"type": "reasoning", "id": "rs_1", "summary": []})),
        delta("reasoning_summary_text", 0, "hm"),
        item("done", 0, &reasoning()),
        delta("output_text", 1, "I look."),
        item("done", 1, &message("I look.")),
        item("added", 2, &function_call("")),
        delta("function_call_arguments", 2, "{\"path\":"),
        delta("function_call_arguments", 2, "\"/\"}"),
        json!({"type": "response.function_call_arguments.done", "output_index": 2,
            "arguments": "{\"path\":\"/\"}"}),
        item("done", 2, &function_call("{\"path\":\"/\"}")),
        end("completed", &json!({})),
    ]
}

#[test]
fn calls_are_assembled_and_the_turn_goes_back_with_its_reasoning() {
    let (reply, emitted) = read(&turn());
    let reply = reply.unwrap_or_default();
    assert_eq!((&*emitted.text, testing::finish_reason(&reply)), ("I look.", Some("tool_calls")));
    let call =
        ToolCall { id: "call_1".into(), name: "df".into(), arguments: "{\"path\":\"/\"}".into() };
    assert_eq!(testing::calls(&reply), std::slice::from_ref(&call));
    let messages = [
        Message::Assistant {
            text: emitted.text,
            tool_calls: vec![call.clone()],
            native: reply.native,
        },
        Message::Tool { call, output: "full".into() },
    ];
    let own = testing::body(&RESPONSES, &request(&messages, &[]));
    let result = json!({"type": "function_call_output", "call_id": "call_1", "output": "full"});
    let said = json!({"role": "assistant", "content": "I look."});
    let sent = function_call("{\"path\":\"/\"}");
    assert_eq!(own["input"], json!([reasoning(), said, sent, result]));
}

#[test]
fn a_turn_of_another_model_goes_without_reasoning() {
    let call = ToolCall { id: "a".into(), name: "no such".into(), arguments: "{".into() };
    let messages = [Message::assistant("hm".into(), vec![call])];
    let found = testing::body(&RESPONSES, &request(&messages, &[]));
    let call = json!({"type": "function_call", "call_id": "a", "name": "no_such",
        "arguments": "{}"});
    assert_eq!(found["input"], json!([{"role": "assistant", "content": "hm"}, call]));
}

/// <https://github.com/decolua/9router/issues/393>
#[test]
fn ids_that_are_too_long_for_the_api_are_replaced() {
    let long = |last: &str| format!("call_{}{last}", "x".repeat(60));
    let call = |last: &str| ToolCall { id: long(last), name: "df".into(), arguments: "{}".into() };
    let native = Some(NativeTurn {
        model_ref: "here/m".into(),
        parts: [NativePart::Json(json!({"call_id": long("1")}).to_string())].into(),
    });
    for native in [None, native] {
        let calls = vec![call("1"), call("2")];
        let messages = [
            Message::Assistant { text: String::new(), tool_calls: calls, native },
            Message::Tool { call: call("1"), output: "x".into() },
            Message::Tool { call: call("2"), output: "y".into() },
        ];
        let found = testing::body(&RESPONSES, &request(&messages, &[]));
        let ids: Vec<&str> =
            (0..4).filter_map(|at| found["input"][at]["call_id"].as_str()).collect();
        let [first, second, third, fourth] = ids[..] else { panic!("{found:#}") };
        assert_eq!((first, second), (third, fourth));
        assert!(first != second && first.len() <= 64, "{ids:?}");
    }
}

#[test]
fn how_an_answer_ends() {
    let incomplete =
        |reason: &str| end("incomplete", &json!({"incomplete_details": {"reason": reason}}));
    let (reply, emitted) = read(&[delta("output_text", 0, "hi"), incomplete("max_output_tokens")]);
    assert_eq!(emitted.text, "hi");
    assert_eq!(testing::finish_reason(&reply.unwrap_or_default()), Some("length"));

    let withheld = |events: &[Value]| match read(events).0 {
        Err(BodyError::Withheld(Withheld { cause, .. })) => Some(cause),
        _ => None,
    };
    let blocked = [delta("output_text", 0, "hi"), incomplete("content_filter")];
    assert_eq!(withheld(&blocked), Some(Cause::AnswerBlocked));
    let refusal = [delta("refusal", 0, "I cannot"), end("completed", &json!({}))];
    assert_eq!(withheld(&refusal), Some(Cause::ModelRefused));
    let cancelled = [delta("output_text", 0, "hi"), end("incomplete", &json!({}))];
    assert_eq!(withheld(&cancelled), Some(Cause::Aborted));

    let failed = json!({"error": {"code": "server_error", "message": "so says the server"}});
    for error in [
        end("failed", &failed),
        json!({"type": "error", "code": "server_error", "message": "so says the server"}),
    ] {
        let Err(BodyError::Server(error)) = read(&[created(), error]).0 else { panic!() };
        assert!(error.verdict(None).retryable);
    }
    assert_eq!(read(&[created(), delta("output_text", 0, "hi")]).0, Err(BodyError::Ended));
}

#[test]
fn responses_that_are_not_streamed_and_streams_without_deltas() {
    let output = json!([reasoning(), message("hi"), function_call("{}")]);
    let whole = end("completed", &json!({"output": output}))["response"].clone();
    let (reply, emitted) = testing::read(&RESPONSES, whole.to_string().as_bytes(), 4096);
    let calls = testing::calls(&reply.unwrap_or_default());
    assert_eq!((&*emitted.text, calls.len(), &*calls[0].arguments), ("hi", 1, "{}"));

    let (reply, emitted) = read(&[
        item("done", 0, &message("hi")),
        item("added", 1, &function_call("")),
        item("done", 1, &function_call("{\"n\":1}")),
        end("completed", &json!({})),
    ]);
    let calls = testing::calls(&reply.unwrap_or_default());
    assert_eq!((&*emitted.text, &*calls[0].arguments), ("hi", "{\"n\":1}"));
}

#[test]
fn a_request_with_everything() {
    let tools = [ToolSpec {
        name: "df".into(),
        description: "disk".into(),
        parameters: Arc::new(json!({"type": "object"})),
    }];
    let messages = [Message::System("be brief".into()), Message::User("hi".into())];
    let mut request = request(&messages, &tools);
    request.settings.temperature = Some(0.5);
    request.settings.top_p = Some(0.25);
    request.settings.effort = Some(Effort::Low);
    request.settings.max_output_tokens = Some(99);
    assert_eq!(
        testing::body(&RESPONSES, &request),
        json!({
            "model": "m",
            "instructions": "be brief",
            "input": [{"role": "user", "content": "hi"}],
            "tools": [{"type": "function", "name": "df", "description": "disk",
                "parameters": {"type": "object"}, "strict": false}],
            "reasoning": {"effort": "low"},
            "stream": true,
            "store": false,
            "include": ["reasoning.encrypted_content"],
            "temperature": 0.5,
            "top_p": 0.25,
            "max_output_tokens": 99,
        })
    );
}
