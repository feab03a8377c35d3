//! The same behavior with each protocol, through the whole program: answers, tools, errors, limits.

use std::time::Duration;

use crate::support::api::{self, Api};
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::Script;
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

const KEY: &str = "secret-test-0123456789abcdef";

fn crew(api: Api, server: &ModelServer, agent: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}', api_key_env: MOCK_KEY}}
        tools:
          t:
            command: [echo, 'n={{{{ n }}}}']
            parameters: {{n: {{type: integer, default: 0}}}}
        agents:
          a: {{model: mock/m, role: Tester, tools: [t]{agent}}}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server)).env("MOCK_KEY", KEY)
}

/// The one agent of a run without retries; the server always answers with this script.
fn agent_for(api: Api, script: Script) -> Value {
    let server = ModelServer::always(script);
    let ended = crew(api, &server, ", retries: 0").run();
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
    ended.json()["agents"]["a"].clone()
}

#[test]
fn a_plain_answer_and_its_request() {
    for api in Api::ALL {
        let server = ModelServer::always(api.text("héllo"));
        let report =
            crew(api, &server, ", temperature: 0.5, max_output_tokens: 99").run().report(0);
        let agent = &report["agents"]["a"];
        assert_eq!(agent["output"], "héllo", "{api:?}");
        assert_eq!((&agent["model"], &agent["finish_reason"]), (&json!("mock/m"), &json!("stop")));
        let usage = &report["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(10), &json!(5)));

        let request = &server.requests()[0];
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", api.path()));
        let [own, others @ ..] = api.key_headers();
        assert!(request.header(own).unwrap().ends_with(KEY), "{api:?}");
        assert!(others.iter().all(|name| request.header(name).is_none()), "{api:?}");
        assert!(!request.path.contains(KEY));
        let body = request.body.to_string();
        for piece in ["\"go\"", "Tester", "0.5", "99", "\"t\"", "\"integer\""] {
            assert!(body.contains(piece), "{api:?}: {piece} in {body}");
        }
        assert_eq!(request.header("anthropic-version").is_some(), api == Api::Anthropic);
    }
}

#[test]
fn tools_are_called_concurrently_and_answered_together() {
    for api in Api::ALL {
        let asks =
            api.tool_calls(&[("t", &json!({"n": 1})), ("t", &json!({"n": 2})), ("no", &json!({}))]);
        let server = ModelServer::sequence([asks, api.text("done")]);
        let report = crew(api, &server, "").run().report(0);
        let agent = &report["agents"]["a"];
        assert_eq!(agent["output"], "done", "{api:?}");
        let calls = agent["tool_calls"].as_array().unwrap();
        let outputs: Vec<_> = calls.iter().map(|call| call["output"].as_str().unwrap()).collect();
        assert_eq!(outputs[..2], ["n=1\n", "n=2\n"], "{api:?}");
        assert_eq!(calls[2]["status"], "rejected");
        assert_eq!(report["usage"]["input_tokens"], 20);

        let results = api.results(&server.requests()[1]);
        let told: Vec<_> = results.iter().map(|(_, output)| output.as_str()).collect();
        assert_eq!(told, outputs, "{api:?}: all results, in the order of their calls");
        let answered: Vec<_> = results.iter().map(|(call, _)| call.as_str()).collect();
        let expected =
            if api == Api::Gemini { ["t", "t", "no"] } else { ["call_0", "call_1", "call_2"] };
        assert_eq!(answered, expected, "{api:?}");
    }
}

#[test]
fn reasoning_is_counted_separately_and_returned_with_its_calls() {
    for api in Api::ALL {
        let thought = api.more(api.reasoning(api.begin(""), "I wonder"), "I look.");
        let asks = api.calls(thought, &[("t", &json!({"n": 1}))]);
        let asks = api.end(asks, "tool_calls", [10, 4, 7, 3]);
        let last = api.more(api.reasoning(api.begin(""), "I wonder"), "done");
        let server = ModelServer::sequence([asks, api.end(last, "stop", [20, 8, 6, 2])]);
        let ended = crew(api, &server, "").run();
        let report = ended.report(0);
        assert_eq!(report["agents"]["a"]["output"], "done");
        assert!(!ended.stdout.contains("I wonder"), "{api:?}: {}", ended.stdout);
        let usage = &report["agents"]["a"]["usage"];
        for (name, expected) in [
            ("input_tokens", 30),
            ("cached_input_tokens", 12),
            ("output_tokens", 13),
            ("reasoning_tokens", 5),
        ] {
            assert_eq!(usage[name], expected, "{api:?}: {name} of {usage}");
        }
        let own = api.own_turn(&server.requests()[1]);
        let expected = match api {
            Api::OpenAi => json!("I wonder"),
            Api::Responses => {
                json!({"type": "reasoning", "summary": [], "encrypted_content": "c2lnbmVk"})
            }
            Api::Anthropic => {
                json!({"type": "thinking", "thinking": "I wonder", "signature": "c2lnbmVk"})
            }
            Api::Gemini => json!("c2lnbmVk"),
        };
        let found = match api {
            Api::OpenAi => &own["reasoning_content"],
            Api::Responses => &own[0],
            Api::Anthropic => &own["content"][0],
            Api::Gemini => &own["parts"][1]["thoughtSignature"],
        };
        assert_eq!(found, &expected, "{api:?}: {own}");
    }
}

#[test]
fn failures_have_a_kind_and_the_servers_message() {
    let anthropic = [
        (400, "invalid_request_error", "bad", "bad_request"),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            "context_length",
        ),
        (401, "authentication_error", "invalid x-api-key", "auth"),
        (403, "permission_error", "not yours", "auth"),
        (404, "not_found_error", "model: m", "bad_request"),
        (413, "request_too_large", "too large", "bad_request"),
        (429, "rate_limit_error", "slowly", "rate_limited"),
        (500, "api_error", "oops", "overloaded"),
        (529, "overloaded_error", "Overloaded", "overloaded"),
    ];
    let gemini = [
        (400, "INVALID_ARGUMENT", "Invalid JSON payload", "bad_request"),
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "auth"),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            "context_length",
        ),
        (403, "PERMISSION_DENIED", "not yours", "auth"),
        (404, "NOT_FOUND", "models/m is not found", "bad_request"),
        (429, "RESOURCE_EXHAUSTED", "quota", "rate_limited"),
        (500, "INTERNAL", "oops", "overloaded"),
        (503, "UNAVAILABLE", "The model is overloaded.", "overloaded"),
    ];
    let of = |api: Api, rows: &[(u16, &str, &str, &str)]| {
        for &(status, word, message, kind) in rows {
            let agent = agent_for(api, api.error(status, word, message));
            let error = &agent["error"];
            assert_eq!(error["kind"], kind, "{api:?} {status} {message}: {error}");
            assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        }
    };
    of(Api::Anthropic, &anthropic);
    of(Api::Gemini, &gemini);
}

#[test]
fn retries_wait_as_long_as_the_server_says() {
    for (api, busy) in [(Api::Anthropic, "rate_limit_error"), (Api::Gemini, "RESOURCE_EXHAUSTED")] {
        let busy = api::retry_after(api, 429, busy, "1");
        let overloaded = api.overload_event(api.begin(""));
        for (name, first, least) in [
            ("busy", busy, 1000),
            ("overloaded in the stream", overloaded, 0),
            ("529", api.error(529, "overloaded_error", "x"), 0),
            ("cut before any text", api.begin("").cut(), 0),
        ] {
            let server = ModelServer::sequence([first, api.text("mended")]);
            let report = crew(api, &server, "").run().report(0);
            assert_eq!(report["agents"]["a"]["output"], "mended", "{api:?}: {name}");
            assert_eq!(report["agents"]["a"]["retries"], 1, "{api:?}: {name}");
            let [first, second] = &server.requests()[..] else { panic!("{api:?}: {name}") };
            assert!(second.arrived - first.arrived >= Duration::from_millis(least), "{name}");
        }
    }
}

#[test]
fn invalid_answers_fail_and_keep_their_text() {
    for api in Api::ALL {
        let part = || api.begin("so far");
        let cases: Vec<(&str, Script, &str, Value)> = vec![
            ("cut", part().cut(), "network", json!("so far")),
            ("reset", part().reset(), "network", json!("so far")),
            ("ended early", part(), "network", json!("so far")),
            ("cut at the start", api.begin("").cut(), "network", Value::Null),
            ("an error inside", api.overload_event(part()), "overloaded", json!("so far")),
            (
                "garbage inside",
                part().raw("data: {nonsense\n\ndata: {}\n\n"),
                "invalid_response",
                json!("so far"),
            ),
            (
                "nothing at all",
                api.end(api.begin(""), "stop", [1, 0, 1, 0]),
                "invalid_response",
                Value::Null,
            ),
        ];
        for (name, script, kind, output) in cases {
            let agent = agent_for(api, script);
            assert_eq!(agent["status"], "failed", "{api:?}: {name}");
            assert_eq!(agent["error"]["kind"], kind, "{api:?}: {name}: {}", agent["error"]);
            assert_eq!(agent["output"], output, "{api:?}: {name}");
            assert_eq!(agent["partial"] == true, output != Value::Null, "{api:?}: {name}");
        }
    }
}

#[test]
fn an_endless_answer_ends_at_its_limit() {
    for api in Api::ALL {
        let piece = api.more(Script::default(), &"x".repeat(1000));
        for (name, script, has_text) in [
            ("text", api.begin("").flood(piece.sent(), 1 << 30), true),
            (
                "reasoning",
                api.begin("").flood(api.reasoning(Script::default(), "hmm").sent(), 1 << 30),
                false,
            ),
            ("a line", api.begin("").raw("data: ").flood("x".repeat(8192), 1 << 30), false),
        ] {
            let server = ModelServer::always(script);
            let ended = crew(api, &server, ", retries: 0, max_answer: 64KiB").run();
            let agent = &ended.report(1)["agents"]["a"];
            assert_eq!(agent["error"]["kind"], "invalid_response", "{api:?} {name}: {agent:#}");
            assert_eq!(agent["output"].is_string(), has_text, "{api:?} {name}");
            assert!(agent["output"].as_str().unwrap_or_default().len() <= 64 << 10);
        }
    }
}

#[test]
fn only_silent_servers_meet_the_idle_timeout() {
    for api in Api::ALL {
        let server = ModelServer::always(api.begin("so far").stall());
        let agent = &crew(api, &server, ", idle_timeout: 300ms").run().report(1)["agents"]["a"];
        assert_eq!(agent["error"]["scope"], "model", "{api:?}: {agent:#}");
        assert_eq!(agent["output"], "so far");
        // Only the end of the connection is missing.
        let server = ModelServer::always(api.text("whole").stall());
        let agent = &crew(api, &server, ", idle_timeout: 300ms").run().report(0)["agents"]["a"];
        assert_eq!(agent["output"], "whole", "{api:?}");
    }
}

#[test]
fn a_truncated_answer_succeeds_and_the_summary_says_so() {
    for api in Api::ALL {
        let script = api.end(api.begin("once upon"), "length", [1, 0, 1, 0]);
        let ended = crew(api, &ModelServer::always(script), "").run();
        assert_eq!(ended.report(0)["agents"]["a"]["finish_reason"], "length", "{api:?}");
        assert!(ended.stderr.contains("max_output_tokens"), "{}", ended.stderr);
    }
}

#[test]
fn a_fallback_model_gets_unique_call_ids() {
    // Calls of this protocol often have no id, so crew numbers them in each turn.
    let first = Api::Gemini;
    let asks = first.tool_calls(&[("t", &json!({"n": 1}))]);
    let leaving =
        ModelServer::sequence([asks.clone(), asks, first.error(404, "NOT_FOUND", "gone")]);
    let next = Api::Anthropic;
    let taking = ModelServer::always(next.text("done"));
    let yaml = indoc! {"
        providers:
          one: {api: gemini, base_url: '${ONE}'}
          two: {api: anthropic, base_url: '${TWO}'}
        tools:
          t: {command: [echo, x], parameters: {n: {type: integer}}}
        agents: {a: {model: [one/m, two/m], tools: [t]}}
    "};
    let crew = Crew::new(yaml).env("ONE", &first.base_url(&leaving));
    let report = crew.env("TWO", &next.base_url(&taking)).run().report(0);
    assert_eq!(report["agents"]["a"]["output"], "done");
    let request = &taking.requests()[0];
    let blocks = |kind: &str, key: &str| -> Vec<String> {
        let blocks = request.messages().iter().flat_map(|m| m["content"].as_array().unwrap());
        let found = blocks.filter(|block| block["type"] == kind);
        found.map(|block| block[key].as_str().unwrap().to_owned()).collect()
    };
    let calls = blocks("tool_use", "id");
    assert!(calls.len() == 2 && calls[0] != calls[1], "{calls:?}");
    assert_eq!(blocks("tool_result", "tool_use_id"), calls);
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
