//! Answers that have to fit a schema: how they are asked for, read, mended and handed on.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::api::Api;
use support::crew::{Crew, Ended};
use support::mock_model::ModelServer;
use support::script;

/// The agent `triage` on the server, with these settings, and whatever else is below `agents`.
fn crew(server: &ModelServer, settings: &str, more: &str) -> Crew {
    crew_of(Api::OpenAi, server, settings, more)
}

fn crew_of(api: Api, server: &ModelServer, settings: &str, more: &str) -> Crew {
    let yaml = format!(
        r"
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
{more}",
        api.name()
    );
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
    let summary = r#"
  summary:
    needs: [triage]
    prompt: >-
      {{ agents.triage.data.severity | upper }}:
      {% for part in agents["triage"].data.parts %}{{ part }} {% endfor %}{{ agents.triage.data }}
"#;
    let ended = crew(&server, "", summary).run();
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
    // Many servers pass over the format without a word.
    assert!(first.contents("system")[0].contains(r#""required":["severity","parts"]"#));
    assert!(second.body.get("response_format").is_none() && second.contents("system").is_empty());
}

#[test]
fn an_answer_that_does_not_fit_is_mended_in_the_same_conversation() {
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
fn what_never_fits_is_an_error_and_its_text_is_kept() {
    for (settings, calls) in [("retries: 2", 3), ("max_turns: 2", 2), ("retries: 0", 1)] {
        let server = ModelServer::always(script::text(r#"{"severity": "low"}"#));
        let triage = triage(&crew(&server, settings, "").run(), 1);
        assert_eq!(server.requests().len(), calls, "{settings}");
        assert_eq!(triage["retries"], calls - 1);
        assert_eq!(triage["error"]["kind"], "invalid_response");
        let message = triage["error"]["message"].as_str().unwrap();
        assert!(message.contains(r#""parts" is a required property"#), "{message}");
        assert_eq!(triage["output"], r#"{"severity": "low"}"#);
        assert_eq!((&triage["partial"], &triage["data"]), (&json!(true), &json!(null)));
    }
}

#[test]
fn a_server_that_refuses_the_format_is_asked_without_it_from_then_on() {
    for (status, refusal) in [
        (400, "This response_format type is unavailable now"),
        (422, "This model does not support response format `json_schema`."),
    ] {
        let server = ModelServer::start(move |request| match request.body.get("response_format") {
            Some(_) => script::error(status, refusal),
            None => script::text(GOOD),
        });
        let again = "  again:\n    needs: [triage]\n    output_schema: {type: object}\n";
        let report = crew(&server, "", again).run().report(0);
        assert_eq!(report["agents"]["again"]["data"]["severity"], "high");
        assert_eq!(server.requests().len(), 3);
        assert_eq!(report["usage"]["model_calls"], 2);
        assert_eq!(report["agents"]["triage"]["retries"], 0);
    }
    let server = ModelServer::always(script::error(400, "no such model"));
    assert_eq!(triage(&crew(&server, "", "").run(), 1)["error"]["kind"], "bad_request");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn every_protocol_is_asked_in_its_own_way_and_need_not_know_it() {
    for (api, own, refusal) in [
        (Api::OpenAi, "/response_format/json_schema/schema", "unknown field response_format"),
        (Api::Anthropic, "/output_config/format/schema", "output_config: Extra inputs"),
        (Api::Gemini, "/generationConfig/responseSchema", "Request contains an invalid argument."),
    ] {
        let server = ModelServer::always(api.text(GOOD));
        let report = crew_of(api, &server, "", "").run().report(0);
        assert_eq!(report["agents"]["triage"]["data"]["severity"], "high", "{api:?}");
        let [request] = &server.requests()[..] else { panic!("{api:?}") };
        let schema = request.body.pointer(own).unwrap_or_else(|| panic!("{:#}", request.body));
        assert_eq!(schema["required"], json!(["severity", "parts"]), "{api:?}");
        // OpenAI's strict mode refuses an `enum` without it.
        assert_eq!(schema["properties"]["severity"]["type"], "string", "{api:?}");
        let strict = request.body.pointer("/response_format/json_schema/strict");
        assert!(strict.is_none_or(|strict| *strict == true), "{:#}", request.body);

        let server = ModelServer::start(move |request| {
            let body = request.body.to_string();
            match request.body.pointer(own) {
                Some(_) => api.error(400, "INVALID_ARGUMENT", refusal),
                None if body.contains("Answer again") => api.text(GOOD),
                None => api.text("It is the fan."),
            }
        });
        let report = crew_of(api, &server, "", "").run().report(0);
        assert_eq!(report["agents"]["triage"]["data"]["severity"], "high", "{api:?}");
        assert_eq!((&report["usage"]["model_calls"], server.requests().len()), (&json!(2), 3));
        let last = server.requests()[2].body.to_string();
        assert!(last.contains("It is the fan.") && last.contains("not JSON"), "{api:?}: {last}");
    }
}

const TOOL: &str = "
tools:
  look:
    command: [echo, full]
";

#[test]
fn tools_come_first_and_only_the_final_answer_has_to_fit() {
    let reply = |request: &support::mock_model::Request| match request.has_tool_results() {
        false => script::tool_call("look", &json!({})),
        true => script::text(GOOD),
    };
    let server = ModelServer::start(reply);
    let triage = triage(&crew(&server, "tools: [look]", TOOL).run(), 0);
    assert_eq!(triage["data"]["severity"], "high");
    assert_eq!((&triage["turns"], &triage["retries"]), (&json!(2), &json!(0)));
    // A server of one's own may call no tool when it is given a format.
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
fn nothing_a_model_writes_is_more_than_an_answer_that_does_not_fit() {
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
fn a_name_that_the_value_does_not_have_is_an_error_of_the_template() {
    let server = ModelServer::always(script::text(GOOD));
    // The list may be shorter than that.
    let more = "  summary:\n    needs: [triage]\n    prompt: '{{ agents.triage.data.parts[9] }}'\n";
    let report = crew(&server, "", more).run().report(1);
    let error = &report["agents"]["summary"]["error"];
    assert_eq!(error["kind"], "template");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("agents.triage.data.parts[9]"), "{message}");
}

#[test]
fn no_secret_stands_in_the_value() {
    let server = ModelServer::always(script::text(
        r#"{"severity": "low", "parts": ["the key is mk-0123456789"]}"#,
    ));
    let ended = crew(&server, "", "").run();
    assert_eq!(triage(&ended, 0)["data"]["parts"][0], "the key is [redacted]");
    assert!(!ended.stdout.contains("mk-0123456789") && !ended.stderr.contains("mk-0123456789"));
    // Nor in what is said of an answer that cannot be used.
    let server = ModelServer::always(script::text(r#""mk-0123456789""#));
    let ended = crew(&server, "model: [mock/m, mock/n]", "").run();
    assert!(ended.stderr.contains("trying mock/n"), "{}", ended.stderr);
    assert!(!ended.stdout.contains("mk-0123456789") && !ended.stderr.contains("mk-0123456789"));
}

#[test]
fn text_shows_the_value_laid_out() {
    let server = ModelServer::always(script::text(&format!("Here: {GOOD}")));
    let ended = crew(&server, "", "").args(&["-o", "text"]).run();
    let laid_out =
        "\n{\n  \"severity\": \"high\",\n  \"parts\": [\n    \"fan\",\n    \"disk\"\n  ]\n}\n";
    assert!(ended.stdout.contains(laid_out), "{}", ended.stdout);
    assert!(!ended.stdout.contains("Here:"), "{}", ended.stdout);
}

/// The first YAML below this heading of the README.
fn readme_example(heading: &str) -> String {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once(heading).unwrap();
    let (_, block) = section.split_once("```yaml\n").unwrap();
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn the_example_of_the_readme_runs() {
    let example = readme_example("## Structured answers");
    let report = Crew::new(&example).args(&["--offline"]).run().report(0);
    assert_eq!(report["agents"]["triage"]["data"]["severity"], "low");
    let answer = report["agents"]["answer"]["output"].as_str().unwrap();
    assert!(answer.contains("Severity: low"), "{answer}");
}
