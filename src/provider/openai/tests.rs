//! Bodies as bytes, cut anywhere: the answer depends on what was sent, never on the packets.

use proptest::prelude::*;

use super::OpenAi;
use crate::provider::calls::MAX_CALLS;
use crate::provider::draft::Fault;
use crate::provider::protocol::Protocol;
use crate::provider::reading::Reading;
use crate::provider::{ChatDelta, ChatReply};

const MAX_ANSWER: usize = 40;

/// What came of the body, and the text told meanwhile.
fn read(bytes: &[u8], cuts: &[usize]) -> (Result<ChatReply, Fault>, String) {
    let mut reading = Reading::new(MAX_ANSWER, OpenAi.parser());
    let mut told = String::new();
    let mut on_delta = |delta: ChatDelta<'_>| {
        if let ChatDelta::Text(text) = delta {
            told.push_str(text);
        }
    };
    let mut whole = || {
        let mut from = 0;
        for cut in cuts.iter().copied().chain([bytes.len()]) {
            let cut = cut.clamp(from, bytes.len());
            if reading.push(&bytes[from..cut], &mut on_delta)? {
                return Ok(());
            }
            from = cut;
        }
        reading.end(&mut on_delta)
    };
    let result = whole().and_then(|()| reading.into_reply("here/m"));
    (result, told)
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
        prop_assert!(told.len() <= MAX_ANSWER);
        if let Ok(reply) = result {
            prop_assert_eq!(&reply.text, &told);
            prop_assert!(reply.tool_calls.len() <= MAX_CALLS);
        }
    }
}
