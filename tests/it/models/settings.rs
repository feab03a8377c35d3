//! Settings of calls over several turns and agents: what is learned, and what caching saves.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script;
use indoc::indoc;
use serde_json::{Value, json};

#[test]
fn an_effort_that_a_model_rejects_is_learned_once() {
    for (words, expected) in [
        ("Unsupported value: 'max'. Supported values are: 'low' and 'medium'.", json!("medium")),
        ("Unrecognized request argument supplied: reasoning_effort", Value::Null),
    ] {
        let words = format!("reasoning_effort: {words}");
        let server = ModelServer::start(move |request| {
            if request.body["reasoning_effort"] == "max" {
                return script::error(400, &words);
            }
            script::text("fine")
        });
        let yaml = indoc! {"
            providers: {p: {base_url: '${URL}'}}
            defaults: {model: p/m, effort: max, retries: 0}
            agents: {a: {}, b: {needs: [a]}}
        "};
        let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(0);
        let efforts: Vec<Value> =
            server.requests().iter().map(|r| r.body["reasoning_effort"].clone()).collect();
        assert_eq!(efforts, [json!("max"), expected.clone(), expected.clone()]);
        for agent in ["a", "b"] {
            let notes = report["agents"][agent]["notes"].as_array().unwrap();
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].as_str().unwrap().contains("p/m"), "{notes:?}");
            assert_eq!(report["agents"][agent]["retries"], 0);
        }
    }
}

/// Markers: <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>.
#[test]
fn a_claude_agent_pays_for_its_prompt_once() {
    const TURNS: usize = 10;
    const MARK: &str = "\"cache_control\":{\"type\":\"ephemeral\"}";
    let api = Api::Anthropic;
    let calls = || api.calls(api.begin(""), &[("t", &json!({})), ("t", &json!({}))]);
    let mut turns: Vec<_> = (0..TURNS as u64 - 1)
        .map(|at| api.end(calls(), "tool_calls", [1000 + 50 * at, 1000, 5, 0]))
        .collect();
    turns.push(api.end(api.begin("done"), "stop", [1500, 1450, 5, 0]));
    let yaml = indoc! {"
        providers: {mock: {api: anthropic, base_url: '${URL}'}}
        tools: {t: {command: [echo, x]}}
        agents: {a: {model: mock/m, role: Tester, tools: [t]}}
    "};
    let server = ModelServer::sequence(turns.clone());
    let report = Crew::new(yaml).env("URL", &api.base_url(&server)).run().report(0);
    assert_eq!(report["agents"]["a"]["usage"]["cached_input_tokens"], 9 * 1000 + 1450);
    let requests = server.requests();
    assert_eq!(requests.len(), TURNS);
    for (at, request) in requests.iter().enumerate() {
        let body = &request.body;
        assert!(body["system"].to_string().contains(MARK), "{at}: {body}");
        // The end of this turn, and the end of the one before.
        let marked: Vec<usize> = request
            .messages()
            .iter()
            .enumerate()
            .filter(|(_, turn)| turn.to_string().contains(MARK))
            .map(|(place, _)| place)
            .collect();
        let last = request.messages().len() - 1;
        assert_eq!(marked, if at == 0 { vec![0] } else { vec![last - 2, last] }, "{at}");
        assert_eq!(body.to_string().matches(MARK).count(), marked.len() + 1, "{at}: {body}");
        let blocks = request.messages()[last]["content"].as_array().unwrap();
        assert!(blocks.last().unwrap().to_string().contains(MARK), "{at}: {body}");
    }

    // Asked not to, and for an agent with a single turn.
    let off = yaml.replace("tools: [t]", "cache: off, tools: [t]");
    let one_turn = yaml.replace(", tools: [t]", "");
    for (yaml, marks) in [(off, 0), (one_turn, 1)] {
        let server = ModelServer::always(api.text("done"));
        Crew::new(&yaml).env("URL", &api.base_url(&server)).run().report(0);
        let body = server.requests()[0].body.to_string();
        assert_eq!(body.matches("cache_control").count(), marks, "{body}");
    }

    // A server of the same API without a cache.
    let server = ModelServer::start(move |request| match request.body.to_string().contains(MARK) {
        true => api.error(400, "invalid_request_error", "system.0.cache_control: Extra inputs"),
        false => api.text("done"),
    });
    let report = Crew::new(yaml).env("URL", &api.base_url(&server)).run().report(0);
    assert_eq!(report["agents"]["a"]["output"], "done");
}

#[test]
fn a_model_that_is_served_by_the_responses_api_only() {
    // The words of OpenAI's API, for o1-pro and later.
    const WORDS: &str =
        "This model is only supported in v1/responses and not in v1/chat/completions.";
    let serve = || {
        ModelServer::start(|request| match request.path.as_str() {
            "/v1/responses" => Api::Responses.text("fine"),
            _ => script::error(404, WORDS),
        })
    };
    let server = serve();
    let run = |file: &str, server: &ModelServer| {
        let crew = Crew::new(file).env("OPENAI_BASE_URL", &server.base_url());
        crew.env("OPENAI_API_KEY", "k-0123456789").run()
    };
    let yaml = "agents: {a: {model: openai/x-pro}, b: {model: openai/x-pro, needs: [a]}}";
    let report = run(yaml, &server).report(0);
    assert_eq!(report["agents"]["b"]["output"], "fine");
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/chat/completions", "/v1/responses", "/v1/responses"]);

    // The file decides.
    let server = serve();
    let yaml = indoc! {"
        providers: {openai: {api: openai}}
        agents: {a: {model: openai/x-pro}}
    "};
    let report = run(yaml, &server).report(1);
    let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
    assert!(message.contains(WORDS), "{message}");
    let server = serve();
    let report = run(&yaml.replace("api: openai", "api: openai-responses"), &server).report(0);
    assert_eq!((&report["agents"]["a"]["output"], server.requests().len()), (&json!("fine"), 1));
}
