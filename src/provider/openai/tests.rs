//! The parts of chunks besides text and calls.

use serde_json::{Value, json};

use super::OPENAI;
use crate::chat::{ChatReply, NativePart, TokenUsage};
use crate::provider::testing::{self, Emitted};

fn read(data: &[&str]) -> (ChatReply, Emitted) {
    let (reply, emitted) = testing::read(&OPENAI, &testing::events(data), 100);
    (reply.unwrap_or_default(), emitted)
}

#[test]
fn tokens_of_reasoning_and_of_the_cache() {
    let usage = r#"{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":5},
        "completion_tokens_details":{"reasoning_tokens":6}}"#;
    let usage = usage.replace('\n', " ");
    let chunk = format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"usage":{usage}}}"#);
    let (_, emitted) = read(&[&chunk, "[DONE]"]);
    let expected = TokenUsage {
        input_tokens: 9,
        output_tokens: 8,
        cached_input_tokens: 5,
        cache_write_tokens: 0,
        reasoning_tokens: 6,
    };
    assert_eq!(emitted.usage, expected);
}

#[test]
fn reasoning_is_sent_back_with_the_calls_it_led_to() {
    let thought = r#"{"choices":[{"delta":{"reasoning_content":"h\"m"}}]}"#;
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"df"}}]}}]}"#;
    let text = r#"{"choices":[{"delta":{"content":"hi"}}]}"#;
    for (second, expected) in [(call, Some(r#"{"reasoning_content":"h\"m"}"#)), (text, None)] {
        let (reply, emitted) = read(&[thought, second, "[DONE]"]);
        assert!(!emitted.text.contains("h\"m"));
        let native = reply.native.map(|turn| turn.parts.to_vec());
        assert_eq!(native, expected.map(|json| vec![NativePart::Json(json.to_owned())]));
    }
}

/// The fields for the server's own turn, as they are sent back.
fn kept(data: &[&str]) -> Value {
    let (reply, _) = testing::read(&OPENAI, &testing::events(data), 10_000);
    let Some(turn) = reply.unwrap_or_default().native else { return Value::Null };
    match &turn.parts[..] {
        [NativePart::Json(json)] => serde_json::from_str(json).unwrap_or_default(),
        _ => Value::Null,
    }
}

#[test]
fn what_the_server_wants_back_is_kept_in_order() {
    let delta = |delta: Value| json!({"choices": [{"delta": delta}]}).to_string();
    let call = |index: u64, id: &str, extra: Value| {
        let function = json!({"name": "df", "arguments": "{}"});
        delta(json!({"tool_calls": [
            {"index": index, "id": id, "function": function, "extra_content": extra}]}))
    };
    let detail = |entry: Value| delta(json!({"reasoning_details": [entry]}));
    let text =
        |index: u64, text: &str| json!({"type": "reasoning.text", "index": index, "text": text});
    let plain = call(0, "a", Value::Null);
    let signature = json!({"type": "reasoning.text", "index": 0, "signature": "s", "text": null});
    let encrypted = json!({"type": "reasoning.encrypted", "index": 0, "data": "x"});
    for (events, expected) in [
        (
            vec![
                detail(text(0, "a")),
                detail(text(0, "b")),
                detail(signature),
                plain.clone(),
                detail(text(0, "c")),
            ],
            json!({"reasoning_details": [
                {"type": "reasoning.text", "index": 0, "text": "ab", "signature": "s"}, text(0, "c")]}),
        ),
        (
            vec![
                detail(encrypted.clone()),
                detail(encrypted.clone()),
                detail(text(1, "a")),
                plain.clone(),
            ],
            json!({"reasoning_details": [encrypted, encrypted, text(1, "a")]}),
        ),
        (
            vec![plain.clone(), call(1, "b", json!({"google": {"thought_signature": "x"}}))],
            json!({"extra_content": {"b": {"google": {"thought_signature": "x"}}}}),
        ),
        (
            vec![call(0, "", json!({"s": 1})), call(1, "", json!({"s": 2}))],
            json!({"extra_content": {"call_1": {"s": 1}, "call_2": {"s": 2}}}),
        ),
        (
            vec![delta(json!({"reasoning_content": ""})), plain.clone()],
            json!({"reasoning_content": ""}),
        ),
        (vec![delta(json!({"reasoning_content": null})), plain.clone()], Value::Null),
        (vec![detail(text(0, "a")), delta(json!({"content": "no call"}))], Value::Null),
    ] {
        let mut data: Vec<&str> = events.iter().map(String::as_str).collect();
        data.push("[DONE]");
        assert_eq!(kept(&data), expected, "{events:?}");
    }
}
