//! Settings of calls in the request of each protocol: sampling, effort, and what is left out.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script;
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

/// The report of agent `a` of this model with these settings, and the body of its last request.
fn ask(api: Api, server: &ModelServer, model: &str, settings: &str) -> (Value, Value) {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        agents:
          a: {{model: mock/{model}, {settings}}}
    ", api.name()};
    let report = Crew::new(&yaml).env("URL", &api.base_url(server)).run().report(0);
    let body = server.requests().pop().unwrap().body;
    (report["agents"]["a"].clone(), body)
}

fn answer(api: Api, model: &str, settings: &str) -> (Value, Value) {
    ask(api, &ModelServer::always(api.text("fine")), model, settings)
}

#[test]
fn sampling_in_each_protocol() {
    let settings = "top_p: 0.25, stop: [END, HALT], seed: 7, extra_body: {x_tier: {a: [flex]}}";
    let stops = json!(["END", "HALT"]);
    for api in Api::ALL {
        let (agent, body) = answer(api, "m", settings);
        let config = if api == Api::Gemini { &body["generationConfig"] } else { &body };
        let [top_p, stop, seed] = match api {
            Api::OpenAi => ["top_p", "stop", "seed"],
            Api::Responses => ["top_p", "-", "-"],
            Api::Anthropic => ["top_p", "stop_sequences", "-"],
            Api::Gemini => ["topP", "stopSequences", "seed"],
        };
        assert_eq!(config[top_p], 0.25, "{api:?}: {body}");
        assert!(stop == "-" || config[stop] == stops, "{api:?}: {body}");
        assert!(seed == "-" || config[seed] == 7, "{api:?}: {body}");
        assert_eq!(body["x_tier"], json!({"a": ["flex"]}), "{api:?}: {body}");
        let notes = agent["notes"].to_string();
        assert_eq!(notes.contains("stop was left out"), stop == "-", "{api:?}: {notes}");
        assert_eq!(notes.contains("seed was left out"), seed == "-", "{api:?}: {notes}");
        assert!(stop != "-" || body.get("stop").is_none(), "{api:?}: {body}");
    }
}

/// Shapes: the sources in `src/provider/effort.rs`.
#[test]
fn effort_in_each_protocol_and_generation() {
    for (api, model, effort, pointer, expected) in [
        (Api::OpenAi, "qwen3", "high", "/reasoning_effort", json!("high")),
        (Api::OpenAi, "gpt-5.1", "xhigh", "/reasoning_effort", json!("high")),
        (Api::Responses, "gpt-5", "none", "/reasoning", json!({"effort": "minimal"})),
        (Api::Anthropic, "claude-opus-4-7", "xhigh", "/output_config", json!({"effort": "xhigh"})),
        (Api::Anthropic, "claude-opus-4-7", "low", "/thinking", json!({"type": "adaptive"})),
        (Api::Anthropic, "claude-opus-4-7", "none", "/thinking", json!({"type": "disabled"})),
        (
            Api::Anthropic,
            "claude-sonnet-4-5",
            "low",
            "/thinking",
            json!({"type": "enabled", "budget_tokens": 4096}),
        ),
        (Api::Anthropic, "claude-sonnet-4-5", "low", "/max_tokens", json!(8192 + 4096)),
        (
            Api::Gemini,
            "gemini-3-flash",
            "low",
            "/generationConfig/thinkingConfig",
            json!({"thinkingLevel": "low"}),
        ),
        (
            Api::Gemini,
            "gemini-2.5-flash",
            "none",
            "/generationConfig/thinkingConfig",
            json!({"thinkingBudget": 0}),
        ),
    ] {
        let (agent, body) = answer(api, model, &format!("effort: {effort}"));
        assert_eq!(body.pointer(pointer), Some(&expected), "{model}: {body}");
        let sent = expected.to_string().contains(effort) || pointer.len() > 17 || effort == "low";
        let is_clamped = !sent && effort != "none" || model == "gpt-5";
        let notes = agent["notes"].to_string();
        assert_eq!(notes.contains("does not accept"), is_clamped, "{model}: {notes}");
    }
}

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
fn caches_that_need_no_marks_get_none() {
    for api in [Api::OpenAi, Api::Responses, Api::Gemini] {
        let (_, body) = answer(api, "m", "role: Tester, cache: auto");
        assert!(!body.to_string().contains("cache"), "{api:?}: {body}");
    }
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
