//! Lists of models: fallbacks and their report.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script, stream};
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

fn crew(server: &ModelServer, agent: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: openai, base_url: '${{URL}}'}}
        tools:
          t: {{description: x, command: [echo, from the tool]}}
        agents:
          a: {{model: [mock/first, mock/second], retries: 1{agent}}}
    "};
    Crew::new(&yaml).env("URL", &server.base_url())
}

/// The first model answers with this script, the second one with a good answer.
fn server(first: Script) -> ModelServer {
    ModelServer::start(move |request: &Request| match request.model() {
        "first" => first.clone(),
        _ => script::text("from the second"),
    })
}

fn models_asked(server: &ModelServer) -> Vec<String> {
    server.requests().iter().map(|request| request.model().to_owned()).collect()
}

#[test]
fn the_next_model_answers_if_the_first_fails() {
    for (name, first, kind, calls, text) in [
        ("a model that is not there", script::error(404, "no such model"), "bad_request", 1, None),
        ("retries used up", script::retry_after(503, "0"), "overloaded", 2, None),
        ("refusals only", script::retry_after(429, "0"), "rate_limited", 2, None),
        ("not a word", stream().finish("stop").done(), "invalid_response", 2, None),
        (
            "blocked",
            stream().text("so far").finish("content_filter").done(),
            "invalid_response",
            1,
            Some("so far"),
        ),
        ("silence", script::hang(), "timeout", 1, None),
        ("silence in mid-stream", stream().text("so far").stall(), "timeout", 1, Some("so far")),
        ("a stream that breaks", stream().text("so far").cut(), "network", 2, Some("so far")),
    ] {
        let server = server(first);
        let ended = crew(&server, ", idle_timeout: 300ms").run();
        let agent = ended.report(0)["agents"]["a"].clone();
        assert_eq!(agent["output"], "from the second", "{name}");
        assert_eq!(agent["model"], "mock/second", "{name}");
        assert_eq!(agent.get("partial"), None, "{name}");
        assert_eq!(agent["turns"], 1, "{name}");
        let [failed] = &agent["fallbacks"].as_array().unwrap()[..] else { panic!("{agent}") };
        assert_eq!(failed["model"], "mock/first", "{name}");
        assert_eq!(failed["error"]["kind"], kind, "{name}: {failed}");
        assert_eq!(failed.get("output").and_then(Value::as_str), text, "{name}");
        let asked = models_asked(&server);
        assert_eq!(asked.iter().filter(|model| *model == "first").count(), calls, "{name}");
        assert!(ended.stderr.contains("a: mock/first failed, trying mock/second ("), "{name}");
        let note = format!("note: a: mock/first failed, tried another model: {kind}");
        assert!(ended.stderr.contains(&note), "{name}: {}", ended.stderr);
    }
}

#[test]
fn the_next_model_answers_if_the_first_answer_is_unusable() {
    let schema = ", output_schema: {type: integer}";
    for (name, settings, first, text, calls) in [
        ("not what was asked for", schema, script::text("three"), Some("three"), 2),
        ("nothing at all", "", stream().finish("stop").done(), None, 2),
    ] {
        let server = ModelServer::start(move |request: &Request| match request.model() {
            "first" => first.clone(),
            _ => script::text("3"),
        });
        let report = crew(&server, settings).run().report(0);
        let agent = &report["agents"]["a"];
        assert_eq!((&agent["output"], &agent["model"]), (&json!("3"), &json!("mock/second")));
        let [failed] = &agent["fallbacks"].as_array().unwrap()[..] else { panic!("{agent}") };
        assert_eq!(failed["error"]["kind"], "invalid_response", "{name}");
        assert_eq!(failed.get("output").and_then(Value::as_str), text, "{name}");
        let asked = models_asked(&server);
        assert_eq!(asked.iter().filter(|model| *model == "first").count(), calls, "{name}");
    }
    // Corrections count per model, turns per agent.
    let server = ModelServer::always(script::text("three"));
    let report = crew(&server, schema).run().report(1);
    assert_eq!(report["agents"]["a"]["error"]["kind"], "invalid_response");
    assert_eq!(models_asked(&server), ["first", "first", "second", "second"]);
    let report = crew(&server, &format!("{schema}, max_turns: 2")).run().report(1);
    assert_eq!(report["agents"]["a"]["model"], "mock/first");
}

#[test]
fn an_endpoint_paused_beyond_the_timeout_is_skipped() {
    let refusing = ModelServer::always(script::retry_after(429, "3000"));
    let server = ModelServer::always(script::text("x"));
    let yaml = indoc! {"
        providers:
          bad: {api: openai, base_url: '${BAD}'}
          good: {api: openai, base_url: '${URL}'}
        agents: {a: {model: [bad/m, good/m]}}
    "};
    let crew = Crew::new(yaml).env("URL", &server.base_url()).env("BAD", &refusing.base_url());
    let report = crew.run().report(0);
    let error = &report["agents"]["a"]["fallbacks"][0]["error"];
    assert!(error["message"].as_str().unwrap().contains("not tried again"), "{error}");
}

#[test]
fn unused_models_are_not_reported() {
    let server = ModelServer::always(script::text("x"));
    let report = crew(&server, "").run().report(0);
    assert_eq!(report["agents"]["a"]["model"], "mock/first");
    assert_eq!(report["agents"]["a"].get("fallbacks"), None);
    assert_eq!(models_asked(&server), ["first"]);
}

#[test]
fn the_conversation_continues_with_the_next_model() {
    let server =
        ModelServer::start(|request| match (request.model(), request.contents("tool").len()) {
            ("first", 0) | ("second", 1) => {
                let call =
                    json!({"index": 0, "id": "x", "function": {"name": "t", "arguments": "{}"}});
                stream().text("let me look").call(call).finish("tool_calls").done()
            }
            ("first", _) => script::error(500, "down"),
            _ => script::text("done"),
        });
    let report = crew(&server, ", tools: [t]").run().report(0);
    let agent = &report["agents"]["a"];
    assert_eq!((&agent["output"], &agent["turns"]), (&"done".into(), &3.into()));
    assert_eq!(models_asked(&server), ["first", "first", "first", "second", "second"]);
    let requests = server.requests();
    assert_eq!(requests[3].messages(), requests[1].messages());
    assert_eq!(requests[3].contents("tool"), ["from the tool\n"]);
}

#[test]
fn if_no_model_answers_the_last_error_is_reported() {
    let server = ModelServer::start(|request| match request.model() {
        "first" => stream().text("half an answer").cut(),
        _ => script::error(400, "not today"),
    });
    let report = crew(&server, "").run().report(1);
    let agent = &report["agents"]["a"];
    assert_eq!(agent["error"]["kind"], "bad_request");
    assert_eq!((&agent["model"], &agent["output"]), (&"mock/second".into(), &Value::Null));
    // The partial answer cost money, so the report keeps it.
    assert_eq!(agent["fallbacks"][0]["output"], "half an answer");
}

#[test]
fn a_rejected_key_moves_all_agents_to_the_next_provider() {
    let refusing = ModelServer::always(script::error(401, "bad key"));
    let server = ModelServer::always(script::text("x"));
    let agents: String = (0..10).map(|n| format!("  a{n}: {{}}\n")).collect();
    let yaml = indoc! {"
        providers:
          bad: {api: openai, base_url: '${BAD}'}
          good: {api: openai, base_url: '${URL}'}
        limits: {max_parallel: 2}
        defaults: {model: [bad/m, good/m]}
        agents:
    "}
    .to_owned()
        + &agents;
    let crew = Crew::new(&yaml).env("URL", &server.base_url()).env("BAD", &refusing.base_url());
    let report = crew.run().report(0);
    assert!(refusing.requests().len() <= 2, "{}", refusing.requests().len());
    for agent in report["agents"].as_object().unwrap().values() {
        assert_eq!(agent["model"], "good/m");
        assert_eq!(agent["fallbacks"][0]["error"]["kind"], "auth");
    }
}

#[test]
fn options_replace_the_list_with_one_model() {
    let server = ModelServer::always(script::error(400, "no"));
    let report = crew(&server, "").args(&["-m", "mock/given"]).run().report(1);
    assert_eq!(models_asked(&server), ["given"]);
    assert_eq!(report["agents"]["a"].get("fallbacks"), None);
    let server = ModelServer::always(script::hang());
    let report = crew(&server, "").args(&["--offline"]).run().report(0);
    assert_eq!(report["agents"]["a"]["model"], "offline");
}

#[test]
fn check_shows_the_list() {
    let crew = Crew::check("agents: {a: {model: [ollama/llama, offline]}}\n");
    let text = crew.env("COLUMNS", "200").run_as_is().stdout;
    assert!(text.contains("ollama/llama, then offline"), "{text}");
}

#[test]
fn secrets_are_redacted_from_abandoned_answers() {
    let key = "sk-0123456789abcdef";
    let server = server(stream().text(&format!("your key is {key}")).cut());
    let yaml = indoc! {"
        providers:
          mock: {api: openai, base_url: '${URL}', api_key_env: KEY}
        agents: {a: {model: [mock/first, mock/second]}}
    "};
    let ended = Crew::new(yaml).env("URL", &server.base_url()).env("KEY", key).run();
    let report = ended.report(0);
    assert_eq!(report["agents"]["a"]["fallbacks"][0]["output"], "your key is [redacted]");
    assert!(!ended.stdout.contains(key) && !ended.stderr.contains(key));
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
