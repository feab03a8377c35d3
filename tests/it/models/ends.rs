//! Ends of an answer that nobody has meant, in every protocol: retried, and no success.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{Script, stream};
use indoc::formatdoc;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

fn crew(api: Api, server: &ModelServer, agent: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}'}}
        tools:
          t:
            command: [echo, 'n={{{{ n }}}}']
            parameters: {{n: {{type: integer}}}}
        agents:
          a: {{model: mock/m, tools: [t]{agent}}}
          b: {{model: mock/m, needs: [a], prompt: 'a says {{{{ agents.a.output }}}}'}}
    ", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server))
}

fn agent(report: &Value) -> &Value {
    &report["agents"]["a"]
}

/// Answers that end in a way that was not meant, and a word of their error.
fn unmeant(api: Api) -> Vec<(Script, &'static str)> {
    let begun = || api.begin("half an ");
    let reasons: &[&str] = match api {
        Api::OpenAi => &["error", "abort", "insufficient_system_resource", "network_error"],
        Api::Responses => &[],
        Api::Anthropic => &["pause_turn", "malformed_tool_use"],
        Api::Gemini => &["OTHER", "IMAGE_ERROR", "MALFORMED_RESPONSE"],
    };
    let reasons = reasons.iter().map(|reason| (api.end(begun(), reason, [10, 0, 5, 0]), *reason));
    let cut = begun().cut();
    let ended = begun();
    let event = api.overload_event(begun());
    let unexplained = begun().event(&json!({"error": {"message": "oh no", "type": "odd"}}));
    let others = [
        (cut, "broke: "),
        (ended, "the stream ended before"),
        (event, "so says the server"),
        (unexplained, "oh no"),
    ];
    reasons.chain(others).collect()
}

#[test]
fn an_answer_that_was_not_meant_to_end_is_retried() {
    for api in Api::ALL {
        for (script, word) in unmeant(api) {
            let server = ModelServer::sequence([script, api.text("all of it")]);
            let report = crew(api, &server, "").run().report(0);
            assert_eq!(agent(&report)["output"], "all of it", "{api:?} {word}");
            assert_eq!(agent(&report).get("partial"), None, "{api:?} {word}");
            assert_eq!(agent(&report)["retries"], 1, "{api:?} {word}");
            assert_eq!(server.requests()[0].body, server.requests()[1].body, "{api:?} {word}");
        }
    }
}

#[test]
fn if_no_attempt_ends_as_meant_the_last_text_is_kept_as_partial() {
    for api in Api::ALL {
        for (script, word) in unmeant(api) {
            // The last attempt brings no text, so that of the first one is the newest.
            let server = ModelServer::sequence([script.clone(), api.begin("").cut()]);
            let report = crew(api, &server, ", retries: 1").run().report(1);
            let agent = agent(&report);
            assert_eq!(
                (&agent["status"], &agent["output"]),
                (&"failed".into(), &"half an ".into())
            );
            assert_eq!(agent["partial"], true, "{api:?} {word}");
            assert_eq!(report["agents"]["b"]["status"], "skipped", "{api:?} {word}");
            let server = ModelServer::always(script);
            let report = crew(api, &server, ", retries: 1").run().report(1);
            let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
            assert!(message.contains(word), "{api:?} {word}: {message}");
            assert!(message.contains(" (after 2 attempts in "), "{message}");
            assert_eq!(server.requests().len(), 2, "{api:?} {word}");
        }
    }
}

#[test]
fn a_cut_tool_call_is_not_run() {
    for api in [Api::OpenAi, Api::Anthropic] {
        let start = match api {
            Api::OpenAi => api.begin("I look.").call(json!({"index": 0, "id": "call_0",
                "function": {"name": "t", "arguments": "{\"n\":"}})),
            _ => api
                .begin("I look.")
                .named(&json!({"type": "content_block_start", "index": 1, "content_block":
                    {"type": "tool_use", "id": "call_0", "name": "t", "input": {}}}))
                .named(&json!({"type": "content_block_delta", "index": 1, "delta":
                    {"type": "input_json_delta", "partial_json": "{\"n\":"}})),
        };
        for cut in [start.clone().cut(), start.clone().reset(), api.overload_event(start)] {
            let call = api.tool_calls(&[("t", &json!({"n": 7}))]);
            let server = ModelServer::sequence([cut, call, api.text("done")]);
            let report = crew(api, &server, "").run().report(0);
            let calls = agent(&report)["tool_calls"].as_array().unwrap();
            assert_eq!(calls.len(), 1, "{api:?}");
            assert_eq!(
                (&calls[0]["output"], &agent(&report)["output"]),
                (&"n=7\n".into(), &"done".into())
            );
        }
    }
}

#[test]
fn an_unknown_reason_succeeds_with_a_note() {
    // A response of the Responses API is complete or not.
    for api in [Api::OpenAi, Api::Anthropic, Api::Gemini] {
        let server = ModelServer::always(api.end(api.begin("fine"), "tired", [10, 0, 5, 0]));
        let report = crew(api, &server, "").run().report(0);
        assert_eq!(agent(&report)["output"], "fine", "{api:?}");
        assert_eq!(agent(&report)["finish_reason"], "tired", "{api:?}");
        let notes = agent(&report)["notes"].to_string();
        assert!(notes.contains("unknown reason: tired"), "{api:?}: {notes}");
    }
}

#[test]
fn reasons_of_another_vendor_are_understood() {
    for (reason, expected) in [("end_turn", "stop"), ("MAX_TOKENS", "length"), ("STOP", "stop")] {
        let answer = stream().text("fine").finish(reason).done();
        let report = crew(Api::OpenAi, &ModelServer::always(answer), "").run().report(0);
        assert_eq!(agent(&report)["finish_reason"], expected);
        assert_eq!(agent(&report).get("notes"), None, "{reason}");
    }
}

#[test]
fn an_interrupt_during_a_retry_keeps_the_text() {
    for api in Api::ALL {
        let cut = api.begin("so far").cut();
        let server = ModelServer::sequence([cut, api.begin("").stall()]);
        let running = crew(api, &server, "").start();
        server.wait_for("the second attempt", |state| state.requests.len() == 2);
        running.signal(Signal::SIGINT);
        let report = running.wait().json();
        assert_eq!(agent(&report)["output"], "so far", "{api:?}");
        assert_eq!(agent(&report)["partial"], true, "{api:?}");
    }
}
