//! Answers with a schema: requests, validation, corrections and use.

use crate::support::api::Api;
use crate::support::crew::{Crew, Ended};
use crate::support::indented;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script;
use indoc::{formatdoc, indoc};
use serde_json::{Value, json};

/// The agent `triage` on the server, with these settings; `more` follows below `agents`.
fn crew(server: &ModelServer, settings: &str, more: &str) -> Crew {
    crew_of(Api::OpenAi, server, settings, more)
}

fn crew_of(api: Api, server: &ModelServer, settings: &str, more: &str) -> Crew {
    let yaml = formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '${{URL}}', api_key_env: MOCK_KEY}}
        defaults: {{model: mock/m}}
        agents:
          triage:
            output_schema:
              type: object
              additionalProperties: false
              required: [severity, parts]
              properties:
                severity: {{enum: [low, high]}}
                parts: {{type: array, items: {{type: string}}}}
            {settings}
        {more}", api.name()};
    Crew::new(&yaml).env("URL", &api.base_url(server)).env("MOCK_KEY", "mk-0123456789")
}

const GOOD: &str = r#"{"severity": "high", "parts": ["fan", "disk"]}"#;

fn triage(ended: &Ended, code: i32) -> Value {
    ended.report(code)["agents"]["triage"].clone()
}

#[test]
fn the_value_is_in_the_report_and_in_templates() {
    let server = ModelServer::start(|request| {
        let first = request.contents("user") == ["go"];
        script::text(&if first { format!("```json\n{GOOD}\n```") } else { "done".to_owned() })
    });
    let summary = indoc! {r#"
        summary:
          needs: [triage]
          prompt: >-
            {{ agents.triage.data.severity | upper }}:
            {% for part in agents["triage"].data.parts %}{{ part }} {% endfor -%}
            {{ agents.triage.data }}
    "#};
    let ended = crew(&server, "", &indented(summary)).run();
    let report = ended.report(0);
    let triage = &report["agents"]["triage"];
    assert_eq!(triage["data"], json!({"severity": "high", "parts": ["fan", "disk"]}));
    assert_eq!(triage["output"], format!("```json\n{GOOD}\n```"));
    assert_eq!((&triage["turns"], &triage["retries"]), (&json!(1), &json!(0)));
    assert!(report["agents"]["summary"].get("data").is_none(), "{report:#}");

    let [first, second] = &server.requests()[..] else { panic!("{:#?}", server.requests()) };
    assert_eq!(
        second.contents("user"),
        [r#"HIGH: fan disk {"severity":"high","parts":["fan","disk"]}"#]
    );
    let format = &first.body["response_format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["json_schema"]["strict"], true);
    assert_eq!(format["json_schema"]["schema"]["required"], json!(["severity", "parts"]));
    // Many servers silently ignore the format.
    assert!(first.contents("system")[0].contains(r#""required":["severity","parts"]"#));
    assert!(second.body.get("response_format").is_none() && second.contents("system").is_empty());
}

#[test]
fn an_invalid_answer_is_corrected_in_the_same_conversation() {
    let server = ModelServer::sequence([
        script::text("It is the fan."),
        script::text(r#"{"severity": "huge", "parts": []}"#),
        script::text(GOOD),
    ]);
    let ended = crew(&server, "", "").run();
    let triage = triage(&ended, 0);
    assert_eq!(triage["data"]["severity"], "high");
    assert_eq!((&triage["turns"], &triage["retries"]), (&json!(3), &json!(2)));
    assert_eq!(triage["usage"]["model_calls"], 3);
    let last = &server.requests()[2];
    let [go, first, second] = &last.contents("user")[..] else { panic!("{last:#?}") };
    assert_eq!(*go, "go");
    assert!(first.contains("not JSON"), "{first}");
    assert!(second.contains(r#"/severity: "huge" is not one of"#), "{second}");
    assert_eq!(last.contents("assistant")[0], "It is the fan.");
    assert!(ended.stderr.contains("the answer cannot be used"), "{}", ended.stderr);
}

#[test]
fn a_persistently_invalid_answer_fails_and_keeps_its_text() {
    for (settings, calls) in [("retries: 2", 3), ("max_turns: 2", 2), ("retries: 0", 1)] {
        let server = ModelServer::always(script::text(r#"{"severity": "low"}"#));
        let triage = triage(&crew(&server, settings, "").run(), 1);
        assert_eq!(server.requests().len(), calls, "{settings}");
        assert_eq!(triage["retries"], calls - 1);
        assert_eq!(triage["error"]["kind"], "invalid_response");
        let message = triage["error"]["message"].as_str().unwrap();
        assert!(message.contains(r#""parts" is a required property"#), "{message}");
        assert_eq!(triage["output"], r#"{"severity": "low"}"#);
        assert_eq!((triage.get("partial"), &triage["data"]), (None, &json!(null)));
    }
}

#[test]
fn a_server_that_rejects_the_format_is_called_without_it() {
    for (status, refusal) in [
        (400, "This response_format type is unavailable now"),
        (422, "This model does not support response format `json_schema`."),
    ] {
        let server = ModelServer::start(move |request| match request.body.get("response_format") {
            Some(_) => script::error(status, refusal),
            None => script::text(GOOD),
        });
        let again = indoc! {"
            again:
              needs: [triage]
              output_schema: {type: object}
        "};
        let report = crew(&server, "", &indented(again)).run().report(0);
        assert_eq!(report["agents"]["again"]["data"]["severity"], "high");
        assert_eq!(server.requests().len(), 3);
        assert_eq!(report["usage"]["model_calls"], 2);
        assert_eq!(report["agents"]["triage"]["retries"], 0);
    }
    let server = ModelServer::always(script::error(400, "no such model"));
    assert_eq!(triage(&crew(&server, "", "").run(), 1)["error"]["kind"], "bad_request");
    assert_eq!(server.requests().len(), 1);
}

const TOOL: &str = indoc! {"
    tools:
      look:
        command: [echo, full]
"};

#[test]
fn only_the_final_answer_is_validated() {
    let reply = |request: &Request| match request.has_tool_results() {
        false => script::tool_call("look", &json!({})),
        true => script::text(GOOD),
    };
    let server = ModelServer::start(reply);
    let triage = triage(&crew(&server, "tools: [look]", TOOL).run(), 0);
    assert_eq!(triage["data"]["severity"], "high");
    assert_eq!((&triage["turns"], &triage["retries"]), (&json!(2), &json!(0)));
    // A local server may not call tools if the request has a format.
    assert!(server.requests().iter().all(|request| request.body.get("response_format").is_none()));

    let server = ModelServer::start(reply);
    let openai = crew(&server, "tools: [look]", TOOL)
        .args(&["--model", "openai/m"])
        .env("OPENAI_BASE_URL", &server.base_url())
        .env("OPENAI_API_KEY", "sk-0123456789");
    assert_eq!(openai.run().report(0)["agents"]["triage"]["data"]["severity"], "high");
    assert!(server.requests().iter().all(|request| request.body.get("response_format").is_some()));
}

#[test]
fn hostile_answers_are_invalid_answers() {
    let nested = |open: &str, close: &str| {
        format!("{{\"parts\": {}{}}}", open.repeat(100_000), close.repeat(100_000))
    };
    for answer in [
        r#"{"severity": "low", "parts": [1e999]}"#.to_owned(),
        r#"{"severity": "low", "parts": [123456789012345678901234567890]}"#.to_owned(),
        r#"{"severity": "low", "severity": 7, "parts": []}"#.to_owned(),
        r#"{"severity": "\ud800", "parts": []}"#.to_owned(),
        nested("[", "]"),
        nested("{\"a\":", "}"),
        nested("[{", ""),
    ] {
        let server = ModelServer::always(script::text(&answer));
        let triage = triage(&crew(&server, "retries: 1", "").run(), 1);
        assert_eq!(triage["error"]["kind"], "invalid_response", "{:.80}", answer);
        assert_eq!(triage["output"], answer);
        assert!(triage["error"]["message"].as_str().unwrap().len() < 2000);
    }
}

#[test]
fn a_missing_field_is_a_template_error() {
    let server = ModelServer::always(script::text(GOOD));
    // The schema does not give the length of the list.
    let summary = indoc! {"
        summary:
          needs: [triage]
          prompt: '{{ agents.triage.data.parts[9] }}'
    "};
    let report = crew(&server, "", &indented(summary)).run().report(1);
    let error = &report["agents"]["summary"]["error"];
    assert_eq!(error["kind"], "template");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("agents.triage.data.parts[9]"), "{message}");
}

#[test]
fn secrets_are_redacted_from_the_value() {
    let server = ModelServer::always(script::text(
        r#"{"severity": "low", "parts": ["the key is mk-0123456789"]}"#,
    ));
    let ended = crew(&server, "", "").run();
    assert_eq!(triage(&ended, 0)["data"]["parts"][0], "the key is [redacted]");
    assert!(!ended.stdout.contains("mk-0123456789") && !ended.stderr.contains("mk-0123456789"));
    // The error about an invalid answer contains no secret either.
    let server = ModelServer::always(script::text(r#""mk-0123456789""#));
    let ended = crew(&server, "model: [mock/m, mock/n]", "").run();
    assert!(ended.stderr.contains("trying mock/n"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("mk-0123456789") && !ended.stderr.contains("mk-0123456789"));
}

#[test]
fn text_output_formats_the_value() {
    let server = ModelServer::always(script::text(&format!("Here: {GOOD}")));
    let ended = crew(&server, "", "").args(&["-o", "text"]).run();
    let laid_out =
        "\n{\n  \"severity\": \"high\",\n  \"parts\": [\n    \"fan\",\n    \"disk\"\n  ]\n}\n";
    assert!(ended.stdout.contains(laid_out), "{}", ended.stdout);
    assert!(!ended.stdout.contains("Here:"), "{}", ended.stdout);
}

#[test]
fn the_example_of_the_docs_runs() {
    let page = include_str!("../../../docs/structured-answers.md");
    let (_, block) = page.split_once("```yaml\n").unwrap();
    let (example, _) = block.split_once("```").unwrap();
    let report = Crew::new(example).args(&["--offline"]).run().report(0);
    assert_eq!(report["agents"]["triage"]["data"]["severity"], "low");
    let answer = report["agents"]["answer"]["output"].as_str().unwrap();
    assert!(answer.contains("Severity: low"), "{answer}");
}
