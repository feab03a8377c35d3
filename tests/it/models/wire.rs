//! What servers and models write, as it really arrives: reasoning in the text, cut calls.

use crate::support::api::{Api, TOKENS};
use crate::support::crew::Crew;
use crate::support::mock_model::ModelServer;
use crate::support::script::{Script, head, pieces};
use indoc::formatdoc;
use serde_json::{Value, json};

fn crew(api: Api, server: &ModelServer, agent: &str) -> Crew {
    Crew::new(formatdoc! {"
        providers:
          mock: {{api: {}, base_url: '{}'}}
        tools:
          echo:
            command: [printf, '%s', '{{{{ text }}}}']
            parameters: {{text: {{type: string}}}}
        agents:
          a: {{model: mock/m, tools: [echo], retries: 0{agent}}}
    ", api.name(), api.base_url(server)})
}

/// The output of an agent whose server sends these bytes once.
fn output(api: Api, bytes: Vec<u8>) -> String {
    let server = ModelServer::sequence(vec![pieces(&[bytes])]);
    let report = crew(api, &server, "").run().report(0);
    report["agents"]["a"]["output"].as_str().unwrap().to_owned()
}

#[test]
fn reasoning_in_the_text_is_not_output() {
    for api in Api::ALL {
        for (texts, expected) in [
            (&["<thi", "nk>\nA sum.</th", "ink>\n\nIt is 4.", " Sure."][..], "It is 4. Sure."),
            (&["[THINK]A sum.", "[/THINK]", "It is 4."], "It is 4."),
            (
                &["\n<think></think>", "<think>x</think> It is <think>4</think>."],
                "It is <think>4</think>.",
            ),
            (&["<seed:th", "ink>A sum.</seed", ":think>It is 4."], "It is 4."),
            (&["Use <think>", " tags.</think>"], "Use <think> tags.</think>"),
            (&["<", "b>bold</b>"], "<b>bold</b>"),
        ] {
            let script = texts.iter().fold(api.begin(""), |script, text| api.more(script, text));
            let answer = api.end(script, "stop", TOKENS);
            assert_eq!(output(api, answer.sent()), expected, "{api:?}");
        }
        // Reasoning alone is no answer, and does not reach the model again.
        let thought = api.text("<think>I wonder");
        let server = ModelServer::always(thought);
        let report = crew(api, &server, "").run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains("answered nothing"), "{message}");
        assert_eq!(report["agents"]["a"]["output"], Value::Null);
    }
    let api = Api::OpenAi;
    let call =
        api.calls(api.begin("<think>hm</think>Let me see."), &[("echo", &json!({"text": "x"}))]);
    let turn = api.end(call, "tool_calls", TOKENS);
    let server = ModelServer::sequence(vec![turn, api.text("done")]);
    crew(api, &server, "").run().report(0);
    assert_eq!(api.own_turn(&server.requests()[1])["content"], "Let me see.");
}

/// An answer that the limit of output tokens ends inside the arguments of a call.
fn cut_call(api: Api, arguments: &str) -> Script {
    let call = match api {
        Api::Anthropic => api
            .begin("")
            .named(&json!({"type": "content_block_start", "index": 1,
                "content_block": {"type": "tool_use", "id": "c", "name": "echo", "input": {}}}))
            .named(&json!({"type": "content_block_delta", "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": arguments}})),
        Api::Responses => api
            .begin("")
            .named(&json!({"type": "response.output_item.added", "output_index": 1,
                "item": {"type": "function_call", "call_id": "c", "name": "echo"}}))
            .named(&json!({"type": "response.function_call_arguments.delta", "output_index": 1,
                "delta": arguments})),
        _ => api.begin("").call(json!({"index": 0, "id": "c", "type": "function",
            "function": {"name": "echo", "arguments": arguments}})),
    };
    api.end(call, "length", TOKENS)
}

#[test]
fn a_call_that_the_limit_of_tokens_cuts_is_explained() {
    // Calls of Gemini's protocol arrive whole.
    for api in [Api::OpenAi, Api::Responses, Api::Anthropic] {
        for arguments in ["{\"text\": \"a long lo", "", "{"] {
            let server = ModelServer::always(cut_call(api, arguments));
            let more = ", max_turns: 3, max_output_tokens: 50";
            let report = crew(api, &server, more).run().report(1);
            let agent = &report["agents"]["a"];
            let (_, told) = api.results(&server.requests()[1])[0].clone();
            assert!(told.contains("max_output_tokens") && told.contains("shorter"), "{told}");
            let call = &agent["tool_calls"][0];
            assert_eq!(call["status"], "rejected", "{api:?} {arguments:?}: {call:#}");
            assert_eq!(agent["error"]["kind"], "max_turns");
            let message = agent["error"]["message"].as_str().unwrap();
            assert!(message.contains("max_output_tokens cut off"), "{message}");
        }
        // A whole call at the limit runs, and a model may do better when it is told.
        let whole = cut_call(api, "{\"text\": \"x\"}");
        let cut = cut_call(api, "{\"te");
        let server = ModelServer::sequence(vec![cut, whole, api.text("done")]);
        let report = crew(api, &server, "").run().report(0);
        let calls = report["agents"]["a"]["tool_calls"].as_array().unwrap();
        assert_eq!((&calls[0]["status"], &calls[1]["output"]), (&json!("rejected"), &json!("x")));
    }
}

#[test]
fn an_error_that_is_not_json_is_read() {
    for api in Api::ALL {
        let body = api.error_body(400, "invalid", "bad @ input").to_string();
        let body = body.replace('@', "\\udcff");
        let script = head(400, &[("content-type", "application/json")]).raw(body);
        let report = crew(api, &ModelServer::always(script), "").run().report(1);
        let message = report["agents"]["a"]["error"]["message"].as_str().unwrap();
        assert!(message.contains("bad \u{fffd} input"), "{message}");
    }
}

#[test]
fn arguments_reach_a_program_as_its_schema_means_them() {
    for api in Api::ALL {
        for (written, expected) in [
            (json!({"n": 5.0, "list": [1.0, 2]}), "n=5 list=[1,2] who=me"),
            (json!({"n": "7", "list": "[3.0]", "who": null}), "n=7 list=[3] who=me"),
            (json!({"n": 1, "list": null, "who": "you"}), "n=1 list=[] who=you"),
        ] {
            let turn = api.tool_calls(&[("show", &written)]);
            let server = ModelServer::sequence(vec![turn, api.text("done")]);
            let report = Crew::new(formatdoc! {"
                providers:
                  mock: {{api: {}, base_url: '{}'}}
                tools:
                  show:
                    shell: echo \"n=$n list=$list who=$who\"
                    parameters:
                      n: {{type: integer}}
                      list: {{type: array, items: {{type: integer}}, default: []}}
                      who: {{type: string, default: me}}
                agents:
                  a: {{model: mock/m, tools: [show]}}
            ", api.name(), api.base_url(&server)})
            .run()
            .report(0);
            let call = &report["agents"]["a"]["tool_calls"][0];
            assert_eq!(call["output"], format!("{expected}\n"), "{api:?}: {call:#}");
        }
    }
}
