//! Bodies as bytes, cut anywhere: the answer depends on what was sent, never on the packets.

use proptest::prelude::*;

use super::OpenAi;
use crate::provider::calls::MAX_CALLS;
use crate::provider::draft::Fault;
use crate::provider::testing::{self, Told};
use crate::provider::{ChatReply, TokenUsage};

const MAX_ANSWER: usize = 40;

fn read(bytes: &[u8], cuts: &[usize]) -> (Result<ChatReply, Fault>, Told) {
    testing::read(&OpenAi, bytes, cuts, MAX_ANSWER)
}

#[test]
fn tokens_of_reasoning_and_of_the_cache() {
    let usage = r#"{"prompt_tokens":9,"completion_tokens":8,"prompt_tokens_details":{"cached_tokens":5},
        "completion_tokens_details":{"reasoning_tokens":6}}"#;
    let usage = usage.replace('\n', " ");
    let chunk = format!(r#"{{"choices":[{{"delta":{{"content":"x"}}}}],"usage":{usage}}}"#);
    let (_, told) = read(&testing::events(&[&chunk, "[DONE]"]), &[]);
    let expected = TokenUsage {
        input_tokens: 9,
        output_tokens: 8,
        cached_input_tokens: 5,
        reasoning_tokens: 6,
    };
    assert_eq!(told.usage, expected);
}

#[test]
fn reasoning_goes_back_with_the_calls_it_led_to() {
    let thought = r#"{"choices":[{"delta":{"reasoning_content":"h\"m"}}]}"#;
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"df"}}]}}]}"#;
    let text = r#"{"choices":[{"delta":{"content":"hi"}}]}"#;
    for (second, expected) in [(call, Some(r#""h\"m""#)), (text, None)] {
        let (reply, _) = read(&testing::events(&[thought, second, "[DONE]"]), &[]);
        let reply = reply.unwrap_or_default();
        assert!(!reply.text.contains("h\"m"));
        let native = reply.native.as_ref().map(|turn| turn.parts.join(","));
        assert_eq!(native.as_deref(), expected);
    }
}

/// Parts of bodies, good and bad, to be put together at random.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        r#"data: {"choices":[{"delta":{"content":"h\u00e9\ud83d\ude00"}}]}"#,
        r#"data: {"choices":[{"delta":{"content":"é€𝄞 and more"}}]}"#,
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"df"}}]}}]}"#,
        r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}}]}"#,
        r#"data: {"choices":[{"delta":{"tool_calls":[{"id":7,"function":{"name":"ps","arguments":{}}}]}}]}"#,
        r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        r#"data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4.0}}"#,
        r#"data: {"error":{"message":"no","code":503}}"#,
        r#"{"choices":[{"message":{"content":"whole"},"finish_reason":"stop"}]}"#,
        r#"{"error":"no"}"#,
        "data: [DONE]",
        "event: error",
        ": alive",
        "<html>",
        "data: {",
        "[",
        "\u{feff}",
    ]);
    let line_end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"]);
    prop_oneof![
        4 => (known, prop::option::weighted(0.9, line_end))
            .prop_map(|(line, end)| format!("{line}{}", end.unwrap_or_default()).into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn any_body_cut_anywhere_gives_what_the_whole_gives(
        parts in prop::collection::vec(part(), 0..8),
        mut cuts in prop::collection::vec(0usize..500, 0..12),
    ) {
        let bytes = parts.concat();
        cuts.sort_unstable();
        let whole = read(&bytes, &[]);
        prop_assert_eq!(&read(&bytes, &cuts), &whole);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&read(&bytes, &every), &whole);
    }

    #[test]
    fn what_is_kept_stays_within_the_limit(parts in prop::collection::vec(part(), 0..40)) {
        let (result, told) = read(&parts.concat(), &[]);
        prop_assert!(told.text.len() <= MAX_ANSWER);
        if let Ok(reply) = result {
            prop_assert_eq!(&reply.text, &told.text);
            prop_assert!(reply.tool_calls.len() <= MAX_CALLS);
        }
    }
}
