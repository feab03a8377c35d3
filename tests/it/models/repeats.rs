//! Calls that are made again: after waits that only words state, after mistakes of the model, and
//! without settings that the model rejects.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{self, Script, stream};
use indoc::formatdoc;
use serde_json::{Value, json};

fn crew(api: Api, server: &ModelServer, agent: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        tools:
          t: {{description: x, command: [echo, hi]}}
        agents:
          a: {{model: mock/m, tools: [t]{agent}}}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server))
}

#[test]
fn a_wait_that_only_words_state_is_kept() {
    for api in Api::ALL {
        let limited = "Rate limit reached. Please try again in 1.2s.";
        let busy = "We are overloaded, retry after 1200 ms";
        let in_stream = |script: Script| {
            let mut error = api.error_body(429, "rate_limit_error", limited);
            if api == Api::Responses {
                error = json!({"type": "error", "code": "rate_limit_error", "message": limited});
            }
            if error["type"].is_string() { script.named(&error) } else { script.event(&error) }
        };
        for (name, first) in [
            ("rejected", api.error(429, "rate_limit_error", limited)),
            ("busy", api.error(503, "unavailable", busy)),
            ("text", script::whole(429, &[], limited)),
            ("in the stream", in_stream(stream())),
            ("after the first word", in_stream(api.begin("so "))),
        ] {
            let server = ModelServer::sequence([first, api.text("now")]);
            let report = crew(api, &server, "").run().report(0);
            assert_eq!(report["agents"]["a"]["output"], "now", "{api:?} {name}");
            let requests = server.requests();
            assert_eq!(requests.len(), 2, "{api:?} {name}");
            let waited = requests[1].arrived - requests[0].arrived;
            let range = Duration::from_millis(1200)..Duration::from_secs(10);
            assert!(range.contains(&waited), "{api:?} {name}: {waited:?}");
        }
    }
}

/// <https://github.com/dirge-code/dirge/pull/719> shows the error of OpenRouter.
#[test]
fn a_wait_that_only_the_body_states_is_kept() {
    type Body = fn(i64) -> Value;
    let bodies: [Body; 3] = [
        |now| {
            json!({"error": {"message": "Rate limit exceeded: free-models-per-min. ", "code": 429,
                "metadata": {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0",
                    "X-RateLimit-Reset": (now + 2000).to_string()}}}})
        },
        |_| json!({"error": {"message": "slow down", "retry_after": 2}}),
        |_| json!({"error": {"message": "busy", "metadata": {"retry_after_seconds": 2.0}}}),
    ];
    for api in Api::ALL {
        for body in bodies {
            let is_limited = AtomicBool::new(true);
            let server = ModelServer::start(move |_| match is_limited.swap(false, Relaxed) {
                true => script::json_body(429, &body(jiff::Timestamp::now().as_millisecond())),
                false => api.text("now"),
            });
            let report = crew(api, &server, "").run().report(0);
            assert_eq!(report["agents"]["a"]["output"], "now", "{api:?}");
            let requests = server.requests();
            let waited = requests[1].arrived - requests[0].arrived;
            // Without a stated wait, it would be 0.25 s and jitter.
            assert!(waited >= Duration::from_millis(1500), "{api:?}: {waited:?}");
        }
    }
}

#[test]
fn a_mistake_of_the_model_is_retried() {
    for error in [
        json!({"message": "no JSON", "code": "json_validate_failed"}),
        json!({"message": "cannot parse", "code": "output_parse_failed"}),
        json!({"message": "no such tool", "type": "invalid_request_error",
            "failed_generation": "<function=x>"}),
    ] {
        let rejection = script::json_body(400, &json!({"error": error}));
        let server = ModelServer::sequence([rejection.clone(), script::text("fine")]);
        let report = crew(Api::OpenAi, &server, "").run().report(0);
        assert_eq!(report["agents"]["a"]["output"], "fine", "{error}");
        assert_eq!(report["agents"]["a"]["retries"], 1, "{error}");
        let server = ModelServer::always(rejection);
        let report = crew(Api::OpenAi, &server, ", retries: 1").run().report(1);
        let failed = &report["agents"]["a"]["error"];
        assert_eq!(failed["kind"], "invalid_response");
        assert!(failed["message"].as_str().unwrap().contains("(after 2 attempts in "), "{failed}");
    }
}

#[test]
fn the_cause_behind_a_gateway_is_shown() {
    for api in Api::ALL {
        let raw = json!({"error": {"message": "images are not supported"}}).to_string();
        for (key, value) in [
            ("metadata", json!({"raw": raw, "provider_name": "Upstream"})),
            ("metadata", json!({"raw": "images are not supported"})),
            ("innererror", json!({"message": "images are not supported"})),
        ] {
            let mut body = api.error_body(400, "invalid", "Provider returned error");
            body["error"][key] = value;
            let server = ModelServer::always(script::json_body(400, &body));
            let report = crew(api, &server, "").run().report(1);
            let message = report["agents"]["a"]["error"]["message"].as_str().unwrap().to_owned();
            let whole = "Provider returned error: images are not supported";
            assert!(message.contains(whole), "{api:?}: {message}");
        }
    }
}

#[test]
fn a_rejection_that_is_not_about_the_temperature_teaches_nothing() {
    let server = ModelServer::always(script::error(400, "temperature sensor offline"));
    let report = crew(Api::OpenAi, &server, ", temperature: 0.2").run().report(1);
    // Once without it, to no avail.
    assert_eq!(server.requests().len(), 2);
    assert_eq!(report["agents"]["a"].get("notes"), None);
    let server = ModelServer::always(script::error(400, "temperature sensor offline"));
    crew(Api::OpenAi, &server, "").run().report(1);
    assert_eq!(server.requests().len(), 1);
}
