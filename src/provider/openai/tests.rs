//! The parts of chunks besides text and calls.

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
