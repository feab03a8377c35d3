//! A list of models: who answers when the first cannot, and what the report says of it.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::crew::Crew;
use support::faults;
use support::mock_model::{ModelServer, Request};
use support::script::{self, Script, stream};

fn crew(server: &ModelServer, agent: &str) -> Crew {
    let yaml = format!(
        "providers:\n  mock: {{api: openai, base_url: '${{URL}}'}}\n\
         tools:\n  t: {{description: x, command: [echo, from the tool]}}\n\
         agents:\n  a: {{model: [mock/first, mock/second], retries: 1{agent}}}\n"
    );
    Crew::new(&yaml).env("URL", &server.base_url())
}

/// The first model answers so; the second one well.
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
fn the_next_model_answers_where_the_first_cannot() {
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
        ("a stream that breaks", stream().text("so far").cut(), "network", 1, Some("so far")),
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
fn the_next_model_answers_where_the_first_says_nothing_of_use() {
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
    // Each model has all the corrections, but the turns are the agent's.
    let server = ModelServer::always(script::text("three"));
    let report = crew(&server, schema).run().report(1);
    assert_eq!(report["agents"]["a"]["error"]["kind"], "invalid_response");
    assert_eq!(models_asked(&server), ["first", "first", "second", "second"]);
    let report = crew(&server, &format!("{schema}, max_turns: 2")).run().report(1);
    assert_eq!(report["agents"]["a"]["model"], "mock/first");
}

#[test]
fn an_endpoint_that_is_paused_beyond_the_time_limit_is_passed_over() {
    let refusing = ModelServer::always(script::retry_after(429, "3000"));
    let server = ModelServer::always(script::text("x"));
    let yaml = "providers:\n  bad: {api: openai, base_url: '${BAD}'}\n  \
                good: {api: openai, base_url: '${URL}'}\n\
                agents: {a: {model: [bad/m, good/m]}}\n";
    let crew = Crew::new(yaml).env("URL", &server.base_url()).env("BAD", &refusing.base_url());
    let report = crew.run().report(0);
    let error = &report["agents"]["a"]["fallbacks"][0]["error"];
    assert!(error["message"].as_str().unwrap().contains("not tried again"), "{error}");
}

#[test]
fn nothing_is_said_of_models_that_were_not_needed() {
    let server = ModelServer::always(script::text("x"));
    let report = crew(&server, "").run().report(0);
    assert_eq!(report["agents"]["a"]["model"], "mock/first");
    assert_eq!(report["agents"]["a"].get("fallbacks"), None);
    assert_eq!(models_asked(&server), ["first"]);
}

#[test]
fn the_conversation_goes_on_with_the_next_model_and_stays_there() {
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
fn when_none_answers_the_last_ones_error_is_the_agents() {
    let server = ModelServer::start(|request| match request.model() {
        "first" => stream().text("half an answer").cut(),
        _ => script::error(400, "not today"),
    });
    let report = crew(&server, "").run().report(1);
    let agent = &report["agents"]["a"];
    assert_eq!(agent["error"]["kind"], "bad_request");
    assert_eq!((&agent["model"], &agent["output"]), (&"mock/second".into(), &Value::Null));
    // It was paid for.
    assert_eq!(agent["fallbacks"][0]["output"], "half an answer");
}

#[test]
fn a_refused_key_leads_everybody_to_the_next_provider() {
    let refusing = ModelServer::always(script::error(401, "bad key"));
    let server = ModelServer::always(script::text("x"));
    let agents: String = (0..10).map(|n| format!("  a{n}: {{}}\n")).collect();
    let yaml = "providers:\n  bad: {api: openai, base_url: '${BAD}'}\n  \
                good: {api: openai, base_url: '${URL}'}\n\
                limits: {max_parallel: 2}\ndefaults: {model: [bad/m, good/m]}\nagents:\n"
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
fn the_options_name_one_model_in_place_of_the_list() {
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
    let folder = faults::folder("agents: {a: {model: [ollama/llama, offline]}}\n");
    let output = faults::crew(folder.path(), &["check"], &[("COLUMNS", "200")]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("ollama/llama, then offline"), "{text}");
}

#[test]
fn no_secret_stands_in_what_a_model_left_behind() {
    let key = "sk-0123456789abcdef";
    let server = server(stream().text(&format!("your key is {key}")).cut());
    let yaml = "providers:\n  mock: {api: openai, base_url: '${URL}', api_key_env: KEY}\n\
                agents: {a: {model: [mock/first, mock/second]}}\n";
    let ended = Crew::new(yaml).env("URL", &server.base_url()).env("KEY", key).run();
    let report = ended.report(0);
    assert_eq!(report["agents"]["a"]["fallbacks"][0]["output"], "your key is [redacted]");
    assert!(!ended.stdout.contains(key) && !ended.stderr.contains(key));
}
