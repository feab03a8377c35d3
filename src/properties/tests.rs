//! The properties with inputs of proptest's.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{answer, file, template, units};

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    vec(0usize..500, 0..12)
}

/// Parts of a stream of events, good and bad, to be put together at random.
fn events() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        "(data|event|:|error|\u{feff}|é|[a-c ]|\r|\n|\r\n){0,60}".prop_map(String::into_bytes),
        // Long enough to go over the limit.
        "(data: [a-z]{0,40}\n?){0,20}".prop_map(String::into_bytes),
    ]
}

/// The same of bodies.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let known = select(vec![
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
        r#"data: {"type":"message_start","message":{"usage":{"input_tokens":3}}}"#,
        r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking"}}"#,
        r#"data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","name":"df"}}"#,
        r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
        r#"data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}}"#,
        r#"data: {"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"h\u00e9 more"}}"#,
        r#"data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":4}}"#,
        r#"data: {"type":"message_stop"}"#,
        r#"{"type":"message","content":[{"type":"text","text":"whole"}],"stop_reason":"end_turn"}"#,
        r#"data: {"candidates":[{"content":{"parts":[{"text":"h\u00e9 more"}]}}]}"#,
        r#"data: {"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"functionCall":{"name":"df"}}]}}]}"#,
        r#"data: {"candidates":[{"content":{"parts":[{"text":"","thoughtSignature":"s"}]},"finishReason":"STOP"}]}"#,
        r#"data: {"candidates":[{"finishReason":"SAFETY"}],"usageMetadata":{"promptTokenCount":3}}"#,
        r#"data: {"promptFeedback":{"blockReason":"OTHER"}}"#,
        r#"data: {"type":"response.created","response":{"status":"in_progress"}}"#,
        r#"data: {"type":"response.output_text.delta","output_index":0,"delta":"h\u00e9 more"}"#,
        r#"data: {"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"hi"}]}}"#,
        r#"data: {"type":"response.output_item.added","output_index":1,"item":{"type":"function_call","call_id":"a","name":"df"}}"#,
        r#"data: {"type":"response.function_call_arguments.delta","output_index":1,"delta":"{}"}"#,
        r#"data: {"type":"response.output_item.done","output_index":1,"item":{"type":"function_call","call_id":"a","name":"df","arguments":"{}"}}"#,
        r#"data: {"type":"response.output_item.done","output_index":2,"item":{"type":"reasoning","encrypted_content":"s"}}"#,
        r#"data: {"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#,
        r#"data: {"type":"response.completed","response":{"status":"completed","usage":{"input_tokens":3}}}"#,
        r#"data: {"type":"response.failed","response":{"error":{"code":"server_error","message":"no"}}}"#,
        r#"{"object":"response","output":[{"type":"message","content":[{"type":"output_text","text":"whole"}]}]}"#,
        "data: [DONE]",
        "event: error",
        ": alive",
        "<html>",
        "data: {",
        "[",
        "\u{feff}",
    ]);
    let line_end = select(vec!["\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\r\r"]);
    let part = prop_oneof![
        4 => (known, option::weighted(0.9, line_end))
            .prop_map(|(line, end)| format!("{line}{}", end.unwrap_or_default()).into_bytes()),
        1 => bytes(),
    ];
    vec(part, 0..20).prop_map(|parts| parts.concat())
}

/// Values of any kind where a crew expects something else.
fn misplaced_values() -> impl Strategy<Value = String> {
    let value = select(vec![
        "",
        "~",
        "5",
        "-1",
        "1e999",
        ".nan",
        "true",
        "x",
        "'{{ x }}'",
        "'${X}'",
        "''",
        "[]",
        "[1, x, []]",
        "{}",
        "{x: 1}",
        "[a, a]",
        "'\\0'",
        "\"\\0\"",
        "{a: {a: {}}}",
        "5s",
        "*v",
    ]);
    vec(value, 12).prop_map(|values| {
        format!(
            "vars: &v {}\nlimits: {}\ndefaults: {{model: {}, timeout: {}}}\nproviders: {{p: {}, q: {{headers: {}}}}}\n\
             tools:\n  t: {}\n  u: {{command: {}, parameters: {}}}\nagents:\n  a: {}\n  b: {{needs: {}, prompt: {}}}\n",
            values[0], values[1], values[2], values[3], values[4], values[5],
            values[6], values[7], values[8], values[9], values[10], values[11],
        )
    })
}

/// Sound files, or nearly so.
fn crews() -> impl Strategy<Value = String> {
    let prompt = "(\\{\\{ (input|vars\\.v|agents\\.a\\.output|x) \\}\\}|\\$\\{(V|TURNS|NAME|LOCAL_KEY):?-?\\}?|[a-z{}%#\u{1b}é ]){0,8}";
    (prompt, "(a|b|c)?", "[0-9]{1,3}(ms|s|m|h)?", "(offline|openai/x|p/x|nope/x)").prop_map(
        |(prompt, need, time, model)| {
            let url = format!("http://h/{}", prompt.replace(['#', '\u{1b}'], "/"));
            let url = serde_json::to_string(&url).unwrap_or_default();
            let prompt = serde_json::to_string(&prompt).unwrap_or_default();
            format!(
                "vars: {{v: {prompt}}}\ndefaults: {{model: {model}, timeout: {time}}}\n\
                 providers: {{p: {{base_url: 'http://h', api_key_env: LOCAL_KEY, headers: {{x-h: {prompt}}}}}}}\n\
                 tools:\n  t: {{description: d, command: [df, {prompt}]}}\n\
                 \x20 w: {{description: d, http: {{url: {url}, query: {{q: {prompt}}}, body: [{prompt}]}}}}\n\
                 agents:\n  a: {{prompt: {prompt}, tools: [t, w]}}\n  b: {{needs: [{need}], role: {prompt}}}\n"
            )
        },
    )
}

/// Inputs that once were too much.
#[test]
fn what_was_found_before() {
    let long = "x".repeat(100_000);
    for prompt in [
        "{% set a = [a, a] %}".repeat(60) + "{{ a }}",
        "{% set a = [a] %}".repeat(2000) + "{{ a }}",
        format!("{{{{ 1{} }}}}", " - 1".repeat(50_000)),
        format!("{{{{ {long} }}}}"),
        format!("{{{{ vars.{long} }}}}"),
        format!("{{{{ input | {long} }}}}"),
    ] {
        let crew = format!("agents: {{a: {{model: offline, prompt: {prompt:?}}}}}");
        file::file(crew.as_bytes());
        template::template(&prompt);
    }
    file::file(b"\r\r$");
    template::expansion_in_template("{${V}", "% set input = 1 %}");
    template::expansion_in_template("{{ '${V}' }}", "' ~ input ~ '");
    template::expansion_in_template("{{ input }}VV${V}VV", "{");
    template::expansion_in_template("{{ input -}}${V}\n", " a\n");
}

proptest! {
    #[test]
    fn events_cut_anywhere(bytes in events(), cuts in cuts()) {
        answer::events(&bytes, &cuts);
    }

    #[test]
    fn a_body_cut_anywhere(bytes in body(), cuts in cuts()) {
        answer::body(&bytes, &cuts);
    }

    #[test]
    fn fragments_of_calls(
        fragments in vec((option::of(0u64..3), "[ab]?", "(df|ps)?", r#"[{}":a ]{0,4}"#), 0..40),
    ) {
        let fragments: Vec<_> = fragments
            .iter()
            .map(|(index, id, name, arguments)| (*index, &**id, &**name, &**arguments))
            .collect();
        answer::fragments(&fragments);
    }

    #[test]
    fn arguments_cut_anywhere(
        arguments in r#"\{("[a-zé{}\\"]{0,5}":[0-9]){0,6}\}|.{0,20}"#,
        cuts in vec(0usize..60, 0..6),
    ) {
        answer::arguments(&arguments, &cuts);
    }

    #[test]
    fn files_of_any_bytes(bytes in vec(any::<u8>(), 0..200)) {
        file::file(&bytes);
    }

    #[test]
    fn files_of_any_text(source in ".{0,200}") {
        file::file(source.as_bytes());
    }

    #[test]
    fn files_of_any_yaml(
        source in "([a-c]: |- |\\[|\\]|\\{|\\}|,|\n|\n  |&a |\\*a|<<: |!!str |\"|'|\\||>|#|\\$\\{|\\{\\{|-|1|~){0,40}",
    ) {
        file::file(source.as_bytes());
    }

    #[test]
    fn files_with_values_of_any_kind(source in misplaced_values()) {
        file::file(source.as_bytes());
    }

    #[test]
    fn files_that_are_nearly_sound(source in crews()) {
        file::file(source.as_bytes());
    }

    #[test]
    fn templates(
        source in "([{}% a-z|.\"'()\\[\\]~+*-]|\\{\\{ | \\}\\}|\\{% (for|set|if) | %\\}|input|vars\\.a|\n){0,30}",
    ) {
        template::template(&source);
    }

    #[test]
    fn variables(text in "([${}:A-Z -]|\\$\\{V\\}|\\$\\{N:-x\\}){0,20}|.{0,40}", value in ".{0,20}|[${}V]{0,8}") {
        template::expansion(&text, &value);
    }

    #[test]
    fn variables_in_templates(
        text in "([{}% a\"'-]|\\{\\{ | \\}\\}|\\$\\{V\\}|\\{# | #\\}|input|\n){0,12}",
        value in "[{}%#\"'a ~\\\\\n-]{0,8}",
    ) {
        template::expansion_in_template(&text, &value);
    }

    #[test]
    fn quantities(text in "[0-9.msh KiMB-]{0,24}|.{0,24}|([0-9]{1,4}(h|m|s|ms|us)){1,3}") {
        units::text(&text);
    }

    #[test]
    fn numbers_with_units(number in any::<u32>()) {
        units::number(number);
    }
}
