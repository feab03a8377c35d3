//! Tokens as servers really count them, in every protocol, and estimates of what they do not count.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{Script, stream};
use indoc::formatdoc;
use serde_json::{Value, json};

fn crew(api: Api, server: &ModelServer, top: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        {top}
        tools:
          t: {{description: x, command: [echo, hi]}}
        agents:
          a: {{model: mock/m, tools: [t], retries: 1}}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server))
}

/// An event that reports these counts of input and output.
fn counted(api: Api, script: Script, input: u64, output: u64) -> Script {
    match api {
        Api::OpenAi | Api::Responses => script.event(&json!({"choices": [], "usage":
            {"prompt_tokens": input, "completion_tokens": output}})),
        Api::Anthropic => script.named(&json!({"type": "message_delta", "delta": {},
            "usage": {"input_tokens": input, "output_tokens": output}})),
        Api::Gemini => script.event(&json!({"usageMetadata":
            {"promptTokenCount": input, "candidatesTokenCount": output}})),
    }
}

fn usage(report: &Value) -> [u64; 2] {
    ["input_tokens", "output_tokens"].map(|key| report["usage"][key].as_u64().unwrap())
}

#[test]
fn a_later_zero_or_a_smaller_input_does_not_replace_a_count() {
    // The Responses API reports tokens once.
    for api in [Api::OpenAi, Api::Anthropic, Api::Gemini] {
        for (last, expected) in
            [([0, 0], [50_000, 100]), ([0, 120], [50_000, 120]), ([7, 90], [50_000, 90])]
        {
            let begun = counted(api, api.begin("hi"), 50_000, 100);
            let answer = api.end(begun, "stop", [last[0], 0, last[1], 0]);
            let report = crew(api, &ModelServer::always(answer), "").run().report(0);
            assert_eq!(usage(&report), expected, "{api:?} {last:?}");
            assert_eq!(report["usage"].get("estimated_tokens"), None, "{api:?}");
        }
    }
}

#[test]
fn a_blind_count_does_not_extend_a_budget() {
    for api in Api::ALL {
        // The server reports zeros only.
        let text = "word ".repeat(2000);
        let call = api.calls(api.begin(&text), &[("t", &json!({}))]);
        let zeros = api.end(call, "tool_calls", [0; 4]);
        let server = ModelServer::always(zeros);
        let report = crew(api, &server, "limits: {max_tokens: 4000}").run().report(1);
        assert_eq!(report["agents"]["a"]["error"]["kind"], "budget", "{api:?}");
        assert_eq!(server.requests().len(), 2, "{api:?}");
    }
}

#[test]
fn reasoning_that_only_the_total_shows_is_counted_and_paid_for() {
    let counts = json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115});
    let of_responses = json!({"input_tokens": 10, "output_tokens": 5, "total_tokens": 115});
    let of_gemini = json!({"promptTokenCount": 10, "candidatesTokenCount": 5,
        "totalTokenCount": 115});
    let begun = |api: Api| api.begin("hi");
    for (api, answer) in [
        (
            Api::OpenAi,
            begun(Api::OpenAi).finish("stop").event(&json!({"choices": [], "usage": counts})),
        ),
        (
            Api::Responses,
            begun(Api::Responses).named(&json!({"type": "response.completed",
                "response": {"status": "completed", "usage": of_responses}})),
        ),
        (
            Api::Gemini,
            begun(Api::Gemini).event(&json!({"candidates": [{"finishReason": "STOP"}],
                "usageMetadata": of_gemini})),
        ),
    ] {
        let prices = "prices: {mock/m: {input: 0, output: 1000}}";
        let report = crew(api, &ModelServer::always(answer), prices).run().report(0);
        assert_eq!(usage(&report), [10, 105], "{api:?}");
        assert_eq!(report["usage"]["cost"], 0.105, "{api:?}");
    }
}

#[test]
fn writes_to_the_cache_cost_as_much_as_input_by_default() {
    let usage = json!({"prompt_tokens": 100, "completion_tokens": 0,
        "prompt_tokens_details": {"cache_write_tokens": 100}});
    let answer = stream().text("hi").finish("stop").event(&json!({"choices": [], "usage": usage}));
    let server = ModelServer::always(answer.done());
    let prices = "prices: {mock/m: {input: 10, output: 1}}";
    let report = crew(Api::OpenAi, &server, prices).run().report(0);
    assert_eq!(report["usage"]["cost"], 0.001);
}

/// The text of an answer that is cut off: about 500 tokens.
fn half() -> String {
    "half ".repeat(400)
}

#[test]
fn a_call_that_is_cancelled_is_estimated_and_marked() {
    for api in Api::ALL {
        let server = ModelServer::always(api.begin(&half()).stall());
        let top = "defaults: {timeout: 1s}\nprices: {mock/m: {input: 10, output: 10}}";
        let ended = crew(api, &server, top).run();
        let report = ended.report(1);
        let usage = &report["usage"];
        assert!(usage["output_tokens"].as_u64() >= Some(500), "{api:?}: {usage}");
        assert!(usage["input_tokens"].as_u64() > Some(0), "{api:?}: {usage}");
        assert!(usage["estimated_tokens"].as_u64() >= Some(499), "{api:?}: {usage}");
        assert!(usage["cost"].as_f64() >= Some(0.005), "{api:?}: {usage}");
        assert!(ended.stderr.contains(", ~"), "{}", ended.stderr);
    }
}

#[test]
fn a_call_that_breaks_is_estimated_and_one_that_is_rejected_is_not() {
    for api in Api::ALL {
        let server = ModelServer::sequence([api.begin(&half()).cut(), api.text("fine")]);
        let report = crew(api, &server, "").run().report(0);
        assert!(usage(&report)[1] >= 505, "{api:?}: {}", report["usage"]);
        assert!(report["usage"]["estimated_tokens"].as_u64() >= Some(499), "{api:?}");
        let server = ModelServer::sequence([api.error(500, "x", "no"), api.text("fine")]);
        let report = crew(api, &server, "").run().report(0);
        assert_eq!(usage(&report), [10, 5], "{api:?}");
        assert_eq!(report["usage"].get("estimated_tokens"), None, "{api:?}");
    }
}

#[test]
fn huge_token_counts_do_not_fail_the_run() {
    let endless = 1_u64 << 61;
    for api in Api::ALL {
        let script = api.end(api.begin("x"), "stop", [endless, endless, endless, endless]);
        let server = ModelServer::always(script);
        let yaml = formatdoc! {r#"
            providers:
              mock: {{api: {}, base_url: '${{URL}}', tokens_per_minute: 1000000000000000}}
            limits: {{max_cost: 1000000000}}
            prices: {{"mock/*": {{input: 1, output: 1}}}}
            agents: {{a: {{model: mock/m}}, b: {{model: mock/m}}, c: {{model: mock/m}}}}
        "#, api.name()};
        let report = Crew::new(&yaml).env("URL", &api.base_url(&server)).run().report(0);
        let counted = report["usage"]["input_tokens"].as_u64().unwrap();
        assert!((3 << 40..1 << 44).contains(&counted), "{api:?}: {counted}");
    }
}
