//! Endpoints: built-in providers, gateways and Azure, and the particulars of each vendor.

use std::time::Duration;

use crate::support::api::Api;
use crate::support::crew::{Crew, Ended};
use crate::support::faults::expect_in;
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, Script, json_body};
use indoc::indoc;
use serde_json::{Value, json};

const KEY: &str = "secret-test-0123456789abcdef";

const BUILT_IN: [(Api, &str, &str, &str); 3] = [
    (Api::OpenAi, "openai/m", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    (Api::Anthropic, "anthropic/m", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    (Api::Gemini, "gemini/m", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"),
];

/// A run of one agent on the built-in provider of this protocol.
fn built_in(api: Api, server: &ModelServer, agent: &str) -> Ended {
    let (_, model, key, address) = BUILT_IN.into_iter().find(|row| row.0 == api).unwrap();
    // A slash at the end makes no difference.
    let url = format!("{}/", api.base_url(server));
    let ended = Crew::new(format!("agents:\n  a: {{model: {model}, retries: 0{agent}}}\n"))
        .env(key, KEY)
        .env(address, &url)
        .args(&["-v"])
        .run();
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
    ended
}

fn failure(api: Api, script: Script) -> Value {
    let agent = built_in(api, &ModelServer::always(script), "").report(1)["agents"]["a"].clone();
    assert_eq!(agent["status"], "failed", "{agent:#}");
    agent
}

#[test]
fn every_vendor_is_built_in() {
    for (api, model, ..) in BUILT_IN {
        let server = ModelServer::always(api.text(&format!("your key is {KEY}")));
        let report = built_in(api, &server, "").report(0);
        assert_eq!(report["agents"]["a"]["model"], model);
        assert_eq!(report["agents"]["a"]["output"], "your key is [redacted]", "{api:?}");
        let request = &server.requests()[0];
        assert_eq!(request.path, api.path());
        assert!(request.header(api.key_headers()[0]).unwrap().ends_with(KEY));
    }
}

#[test]
fn a_wrong_key_is_not_repeated_and_the_hint_names_its_variable() {
    for (api, _, key, _) in BUILT_IN {
        let script = api.error(401, "authentication_error", &format!("bad key {KEY}"));
        let ended = built_in(api, &ModelServer::always(script), "");
        assert_eq!(ended.report(1)["agents"]["a"]["error"]["kind"], "auth");
        assert!(ended.stderr.contains(key), "{}", ended.stderr);
    }
}

#[test]
fn a_rejected_key_names_its_source() {
    for (provider, place) in [
        (", api_key_env: MY_KEY", "; check the key in MY_KEY"),
        (", headers: {api-key: '${MY_KEY}'}", "; check api-key under providers"),
        (", query: {token: abc}", "; check token under providers"),
        ("", "; no key was sent"),
    ] {
        let server = ModelServer::always(Api::OpenAi.error(401, "invalid_api_key", "no"));
        let yaml = format!(
            "providers: {{p: {{base_url: '${{URL}}'{provider}}}}}\nagents: {{a: {{model: p/m}}}}\n"
        );
        let crew = Crew::new(&yaml).env("URL", &server.base_url()).env("MY_KEY", KEY);
        let report = crew.run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains(place), "{message}");
    }
}

#[test]
fn withheld_answers_fail_with_the_vendors_reason() {
    let gemini = |reason: &str| Api::Gemini.end(Api::Gemini.begin("so far"), reason, [12, 0, 1, 0]);
    let prompt = script::stream().event(&json!({
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 12, "totalTokenCount": 12}}));
    let refusal = Api::Anthropic.end(Api::Anthropic.begin("so far"), "refusal", [12, 0, 1, 0]);
    let filtered = Api::OpenAi.end(Api::OpenAi.begin("so far"), "content_filter", [12, 0, 1, 0]);
    let declined = Api::OpenAi.end(
        script::stream().delta(json!({"refusal": "so far"})),
        "stop",
        [12, 0, 1, 0],
    );
    let filter = "content_filter";
    for (api, script, kind, word, finish, has_text) in [
        (Api::Gemini, gemini("SAFETY"), "invalid_response", "SAFETY", filter, true),
        (Api::Gemini, gemini("RECITATION"), "invalid_response", "RECITATION", filter, true),
        (
            Api::Gemini,
            gemini("MALFORMED_FUNCTION_CALL"),
            "invalid_response",
            "MALFORMED_FUNCTION_CALL",
            "malformed_function_call",
            true,
        ),
        (Api::Gemini, prompt, "bad_request", "PROHIBITED_CONTENT", filter, false),
        (Api::Anthropic, refusal, "invalid_response", "refus", filter, true),
        (Api::OpenAi, filtered, "invalid_response", "blocked the answer", filter, true),
        (Api::OpenAi, declined, "invalid_response", "refused to answer", "stop", true),
    ] {
        let agent = failure(api, script);
        assert_eq!(agent["error"]["kind"], kind, "{word}: {agent:#}");
        assert_eq!(agent["finish_reason"], finish, "{word}");
        assert!(agent["error"]["message"].as_str().unwrap().contains(word), "{agent:#}");
        assert_eq!(agent["output"] == "so far", has_text, "{word}");
        assert_eq!(agent["usage"]["input_tokens"], 12, "{word}: what was paid for is counted");
    }
}

#[test]
fn malformed_calls_are_retried() {
    let api = Api::Gemini;
    let slip = api.end(api.begin(""), "MALFORMED_FUNCTION_CALL", [1, 0, 0, 0]);
    let server = ModelServer::sequence([slip, api.text("mended")]);
    let yaml = "agents:\n  a: {model: gemini/m}\n";
    let report = Crew::new(yaml)
        .env("GEMINI_API_KEY", KEY)
        .env("GOOGLE_GEMINI_BASE_URL", &api.base_url(&server))
        .run()
        .report(0);
    assert_eq!(report["agents"]["a"]["output"], "mended");
    assert_eq!(report["agents"]["a"]["retries"], 1);
}

#[test]
fn empty_answers_are_retried_unless_truncated() {
    for api in Api::ALL {
        let (stop, length) = match api {
            Api::OpenAi | Api::Responses => ("stop", "length"),
            Api::Anthropic => ("end_turn", "max_tokens"),
            Api::Gemini => ("STOP", "MAX_TOKENS"),
        };
        let empty = |reason| api.end(api.begin(" "), reason, [3, 0, 2, 2]);
        let run = |server: &ModelServer| {
            let yaml = format!("providers: {{p: {{api: {}, base_url: '${{URL}}'}}}}\n", api.name());
            Crew::new(&(yaml + "agents: {a: {model: p/m}}\n"))
                .env("URL", &api.base_url(server))
                .run()
        };
        let report = run(&ModelServer::sequence([empty(stop), api.text("words")])).report(0);
        let agent = &report["agents"]["a"];
        assert_eq!((&agent["output"], &agent["retries"]), (&"words".into(), &1.into()), "{api:?}");

        let server = ModelServer::always(empty(length));
        let report = run(&server).report(1);
        let error = &report["agents"]["a"]["error"];
        assert_eq!((&error["kind"], server.requests().len()), (&"invalid_response".into(), 1));
        assert!(error["message"].as_str().unwrap().contains("max_output_tokens"), "{error}");
    }
}

#[test]
fn short_quota_waits_are_kept_and_daily_ones_fail() {
    let quota = |id: &str, delay: &str| {
        json_body(
            429,
            &json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED",
            "message": "You exceeded your current quota", "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                    "violations": [{"quotaId": id}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}]}}),
        )
    };
    let run = |server: &ModelServer| {
        Crew::new("agents:\n  a: {model: gemini/m}\n")
            .env("GEMINI_API_KEY", KEY)
            .env("GOOGLE_GEMINI_BASE_URL", &Api::Gemini.base_url(server))
            .run()
    };
    let server = ModelServer::sequence([
        quota("GenerateRequestsPerMinutePerProject", "1.1s"),
        Api::Gemini.text("x"),
    ]);
    run(&server).report(0);
    let [first, second] = &server.requests()[..] else { panic!("{:?}", server.requests()) };
    assert!(second.arrived - first.arrived >= Duration::from_millis(1100));

    let server = ModelServer::always(quota("GenerateRequestsPerDayPerProject", "1s"));
    let report = run(&server).report(1);
    assert_eq!(report["agents"]["a"]["error"]["kind"], "rate_limited");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn azure_deployments() {
    let server = ModelServer::always(Api::OpenAi.text(&format!("your key is {KEY}")));
    let yaml = indoc! {"
        providers:
          azure:
            api: openai
            base_url: ${URL}/openai/deployments/gpt
            query: {api-version: '2024-10-21', x: a b&c}
            headers: {api-key: '${MY_KEY}'}
        agents: {a: {model: azure/gpt}}
    "};
    let url = format!("http://{}", server.address());
    let ended = Crew::new(yaml).env("URL", &url).env("MY_KEY", KEY).args(&["-v"]).run();
    assert_eq!(ended.report(0)["agents"]["a"]["output"], "your key is [redacted]");
    assert!(!ended.stdout.contains(KEY) && !ended.stderr.contains(KEY), "{}", ended.stderr);
    let request = &server.requests()[0];
    assert_eq!(
        request.path,
        "/openai/deployments/gpt/chat/completions?api-version=2024-10-21&x=a+b%26c"
    );
    assert_eq!(request.header("api-key"), Some(KEY));
    assert_eq!(request.header("authorization"), None, "no api_key_env, no Authorization");
}

#[test]
fn rejected_parameters_are_replaced_in_later_calls() {
    let detail = json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
        "loc": ["body", "stream_options", "include_usage"]}]}, "type": "invalid_request_error"});
    let limit = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
                 'max_completion_tokens' instead.";
    let server = ModelServer::start(move |request| {
        let has = |key| request.body.get(key).is_some();
        match (has("stream_options"), has("max_tokens")) {
            (true, _) => json_body(422, &detail),
            (_, true) => script::error(400, limit),
            _ => Api::OpenAi.text("x"),
        }
    });
    let yaml = indoc! {"
        providers: {p: {base_url: '${URL}'}}
        defaults: {model: p/m, max_output_tokens: 9}
        agents: {a: {}, b: {needs: [a]}}
    "};
    let report = Crew::new(yaml).env("URL", &server.base_url()).run().report(0);
    assert_eq!(server.requests().len(), 4, "three for the first agent, one for the second");
    let last = &server.requests()[3].body;
    assert_eq!(last["max_completion_tokens"], 9);
    assert_eq!(
        (&report["usage"]["model_calls"], &report["agents"]["a"]["retries"]),
        (&json!(2), &json!(0))
    );
    let server = ModelServer::always(script::error(400, "stream_options are not for you"));
    Crew::new(yaml).env("URL", &server.base_url()).run().report(1);
    assert_eq!(server.requests().len(), 2, "it is not asked for ever");
    let yaml = "providers: {p: {api: anthropic, base_url: '${URL}'}}\nagents: {a: {model: p/m}}\n";
    let url = Api::Anthropic.base_url(&server);
    Crew::new(yaml).env("URL", &url).run().report(1);
    assert_eq!(server.requests().len(), 3, "nor once more in the same words");
}

#[test]
fn a_key_in_a_header_is_available_nowhere_else() {
    expect_in(
        indoc! {"
            providers:
              azure:
                base_url: 'http://h'
                headers: {api-key: '${MY_KEY:-x}', x-team: '${TEAM:-y}'}
            tools: {t: {shell: env, env: [MY_KEY, TEAM]}}
            agents: {a: {prompt: 'say ${MY_KEY}, ${TEAM:-y}'}}
        "},
        &[
            "tools.t.env[0] 6:31 .. MY_KEY holds an API key, which tools do not get",
            "agents.a.prompt 7:22 .. MY_KEY holds an API key .. headers",
        ],
    );
}

#[test]
fn a_key_in_an_address_is_redacted() {
    let server = ModelServer::start(|request| script::error(404, &request.path));
    let yaml = indoc! {"
        providers:
          gate: {base_url: '${URL}/${GATE_TOKEN}/v1', query: {sig: '${MY_SECRET}'}}
        agents: {a: {model: [gate/m, gate/n]}}
    "};
    let url = format!("http://{}", server.address());
    let secret = "another-0123456789";
    let keys = [("URL", &*url), ("GATE_TOKEN", KEY), ("MY_SECRET", secret)];
    let ended = Crew::new(yaml).envs(&keys).args(&["-v"]).run();
    assert_eq!(server.requests()[0].path, format!("/{KEY}/v1/chat/completions?sig={secret}"));
    let checked = Crew::check(yaml).envs(&keys).run_as_is().stdout;
    assert!(checked.contains("/[redacted]/v1") && ended.stderr.contains("/[redacted]/v1"));
    for shown in [checked, ended.stdout, ended.stderr] {
        assert!(!shown.contains(KEY) && !shown.contains(secret), "{shown}");
    }
}

#[test]
fn headers_of_the_file_override_the_protocols() {
    let server = ModelServer::always(Api::Anthropic.text("x"));
    let yaml = indoc! {"
        providers:
          gate:
            api: anthropic
            base_url: ${URL}/v1
            headers: {anthropic-version: '2030-01-01', authorization: 'Bearer ${TOKEN}'}
        agents: {a: {model: gate/m}}
    "};
    let url = Api::Anthropic.base_url(&server);
    Crew::new(yaml).env("URL", &url).env("TOKEN", KEY).run().report(0);
    let request = &server.requests()[0];
    // An address with the version works as well.
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.header("anthropic-version"), Some("2030-01-01"));
    assert_eq!(request.header("authorization"), Some(&*format!("Bearer {KEY}")));
    assert_eq!(request.header("x-api-key"), None);
}

#[test]
fn a_server_of_another_protocol_is_reported() {
    for (api, ..) in BUILT_IN {
        let other = if api == Api::OpenAi { Api::Gemini } else { Api::OpenAi };
        for script in [other.text("hi"), json_body(200, &json!({"hello": "world"}))] {
            let agent = failure(api, script);
            let kind = agent["error"]["kind"].as_str().unwrap();
            assert!(["invalid_response", "network"].contains(&kind), "{api:?}: {agent:#}");
            assert_eq!(agent["output"], Value::Null);
        }
    }
}

#[test]
fn faults_of_providers() {
    expect_in(
        indoc! {"
            providers:
              p:
                api: antropic
                base_url: 'http://h?api-version=1'
                quer: {}
              q: {api: gemini, base_url: 'http://h', query: {'': x, a: '${GEMINI_API_KEY}'}}
              gemini: {base_url: 'http://h'}
        "},
        &[
            "providers.p.api 4:10 .. expected openai, openai-responses, anthropic or gemini \
             .. did you mean \"anthropic\"?",
            "providers.p.base_url 5:15 .. query",
            "providers.p.quer 6:5 .. unknown key .. did you mean \"query\"?",
            "providers.q.query[\"\"] 7:50 .. needs a name",
            "providers.q.query.a 7:60 .. GEMINI_API_KEY holds an API key .. api_key_env",
            "providers.gemini.base_url 8:12 .. built in",
        ],
    );
}

fn page() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap()
}

#[test]
fn the_providers_of_the_docs_work() {
    let page = page();
    let blocks = page.split("```yaml fragment\n");
    let mut blocks = blocks.filter_map(|block| block.split("```").next());
    let example = blocks.find(|block| block.starts_with("providers:")).unwrap();
    for api in ["api: openai ", "Or: openai-responses, anthropic", "gemini (generateContent)"] {
        assert!(example.contains(api), "{api}");
    }
    let agents = "agents: {a: {model: local/x}, b: {model: azure/gpt-4o}, c: {model: openai/m}}\n";
    let keys = [("LOCAL_KEY", KEY), ("AZURE_OPENAI_API_KEY", KEY), ("OPENAI_API_KEY", KEY)];
    let stdout = Crew::check(format!("{example}{agents}")).envs(&keys).run_as_is().stdout;
    for limits in [
        "local: at most 8 concurrent calls, 500 requests per minute, 200000 tokens per minute",
        "openai: at most 500 requests per minute",
    ] {
        assert!(stdout.contains(limits), "{limits}: {stdout}");
    }

    // The same with servers of the test's.
    let server = ModelServer::always(Api::OpenAi.text("x"));
    let origin = format!("http://{}", server.address());
    let here = example
        .replace("http://127.0.0.1:8080", &origin)
        .replace("https://NAME.openai.azure.com", &origin);
    let crew = Crew::new(format!("{here}{agents}")).env("OPENAI_BASE_URL", &origin);
    crew.envs(&keys).run().report(0);
    let requests = server.requests();
    let to = |path: &str| requests.iter().find(|request| request.path == path).unwrap();
    let local = to("/v1/chat/completions");
    assert_eq!(local.header("x-team"), Some("support"));
    assert_eq!(local.header("authorization"), Some(&*format!("Bearer {KEY}")));
    let azure = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";
    assert_eq!(to(azure).header("api-key"), Some(KEY));
    assert_eq!(to(azure).header("authorization"), None);
}

#[test]
fn the_list_of_models_of_the_docs_falls_back() {
    let page = page();
    let list = page.split('`').find(|code| code.starts_with("model: [")).unwrap();
    let server = ModelServer::start(|request| match request.model() {
        "gpt-4o-mini" => script::error(404, "no such model"),
        _ => Api::OpenAi.text("x"),
    });
    let url = server.base_url();
    let crew = Crew::new(format!("agents: {{a: {{{list}}}}}\n")).env("OPENAI_API_KEY", KEY);
    let report = crew.env("OPENAI_BASE_URL", &url).env("OLLAMA_HOST", &url).run().report(0);
    let agent = &report["agents"]["a"];
    assert_eq!(agent["model"], "ollama/llama3.1:8b");
    assert_eq!(agent["fallbacks"][0]["model"], "openai/gpt-4o-mini");
}

#[test]
fn check_shows_the_addresses_of_providers() {
    let checked = Crew::check(
        "providers: {gate: {api: gemini, base_url: 'http://h:1/', query: {token: hunter22}}}\n\
         agents: {a: {model: gate/x}, b: {model: anthropic/claude-x}}\n",
    );
    let ended = checked.env("ANTHROPIC_API_KEY", KEY).run_as_is();
    let stdout = ended.stdout;
    assert_eq!(ended.status.code(), Some(0), "{stdout}");
    let row = |words: [&str; 3]| {
        let has = |line: &str| line.split_whitespace().collect::<Vec<_>>() == words;
        assert!(stdout.lines().any(has), "{words:?}: {stdout}");
    };
    row(["gate", "gemini", "http://h:1"]);
    row(["anthropic", "anthropic", "https://api.anthropic.com"]);
    assert!(stdout.contains("anthropic/claude-x"));
    assert!(!stdout.contains(KEY) && !stdout.contains("hunter22"), "{stdout}");
}
