//! What a server demands or rejects by rules of its own is learned from its refusal, once.

use crate::support::api::Api;
use crate::support::crew::Crew;
use crate::support::mcp_server;
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{self, Script};
use indoc::formatdoc;
use serde_json::{Value, json};

/// Two agents, one after the other, with the same model and two tools.
fn crew(api: Api, server: &ModelServer) -> Crew {
    Crew::new(formatdoc! {"
        providers:
          p: {{api: {}, base_url: '{}'}}
        tools:
          good_one: {{command: [echo, x], parameters: {{n: {{type: integer, default: 0}}}}}}
          odd_one: {{command: [echo, y], parameters: {{day: {{type: string, format: date, default: d}}}}}}
        agents:
          a: {{model: p/m, tools: [good_one, odd_one]}}
          b: {{model: p/m, tools: [good_one, odd_one], needs: [a]}}
    ", api.name(), api.base_url(server)})
}

fn refusals(server: &ModelServer, is_refused: impl Fn(&Request) -> bool) -> usize {
    server.requests().iter().filter(|request| is_refused(request)).count()
}

#[test]
fn one_refused_tool_is_left_out_in_every_protocol() {
    let is_refused = |request: &Request| request.body.to_string().contains("odd_one");
    for api in Api::ALL {
        for words in [
            "Invalid schema for function 'odd_one': 'date' is not a valid format.",
            match api {
                Api::OpenAi | Api::Responses => "tools[1].function.parameters: invalid schema",
                Api::Anthropic => "tools.1.custom.input_schema: JSON schema is invalid",
                Api::Gemini => "tools[0].function_declarations[1].parameters is invalid",
            },
        ] {
            let server = ModelServer::start(move |request| match is_refused(request) {
                true => api.error(400, "invalid_request_error", words),
                false => api.text("fine"),
            });
            let report = crew(api, &server).run().report(0);
            for agent in ["a", "b"] {
                assert_eq!(report["agents"][agent]["output"], "fine", "{api:?}: {words}");
                let notes = report["agents"][agent]["notes"].to_string();
                assert!(notes.contains("tool odd_one was left out: p/m rejects it"), "{notes}");
            }
            assert_eq!(refusals(&server, is_refused), 1, "{api:?}: it is learned once");
            assert!(server.requests().iter().all(|one| one.body.to_string().contains("good_one")));
        }
    }
}

/// The words: <https://github.com/keinsaasforever/better-chatbot/issues/197>,
/// <https://github.com/HunorLaczko/ha-groq-cloud-api/issues/25>,
/// <https://github.com/microsoft/vscode/issues/259392>,
/// <https://github.com/google-gemini/gemini-cli/issues/19083>.
#[test]
fn a_server_gets_as_many_tools_as_it_takes() {
    for api in Api::ALL {
        let own = match api {
            Api::OpenAi | Api::Responses => {
                "Invalid 'tools': array too long. Expected an array with maximum length 1, but \
                 got an array with length 2 instead."
            }
            Api::Anthropic => "'tools' : maximum number of items is 1",
            Api::Gemini => {
                "The GenerateContentRequest proto is invalid:\n  * tools[0].function_declarations: \
                 [FIELD_INVALID] At most 1 function declarations can be specified."
            }
        };
        for words in [own, "You may not include more than 1 tools in your request."] {
            let server = ModelServer::start(move |request| match api.tools(request).len() {
                0 | 1 => api.text("fine"),
                _ => api.error(400, "invalid_request_error", words),
            });
            let report = crew(api, &server).run().report(0);
            let notes = report["agents"]["b"]["notes"].to_string();
            let note = "the last 1 of 2 tools were left out: p/m takes 1 at most";
            assert!(notes.contains(note), "{api:?}: {notes}");
            assert_eq!(server.requests().len(), 3, "{api:?}: {words}");
        }
    }
}

#[test]
fn odd_names_and_old_drafts_are_shown_in_a_form_that_every_server_takes() {
    for api in Api::ALL {
        let server = ModelServer::start(move |request| {
            if api.results(request).iter().any(|(call, _)| !call.is_empty()) {
                return api.text("done");
            }
            let [schema] = &api.tools(request)[..] else { panic!("{:#}", request.body) };
            let names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
            let [name] = names[..] else { panic!("{schema:#}") };
            api.tool_calls(&[("fx__odd", &json!({name.as_str(): 7}))])
        });
        let yaml = formatdoc! {"
            providers:
              p: {{api: {}, base_url: '{}'}}
            {}
            agents:
              a: {{model: p/m, tools: [fx.odd]}}
        ", api.name(), api.base_url(&server), mcp_server::yaml("odd", "")};
        let report = Crew::new(yaml).run().report(0);
        let call = &report["agents"]["a"]["tool_calls"][0];
        assert_eq!(call["output"], json!({"größe": 7}).to_string(), "{api:?}: {report:#}");
        let [schema] = &api.tools(&server.requests()[0])[..] else { panic!() };
        let (name, shown) = schema["properties"].as_object().unwrap().iter().next().unwrap();
        let is_accepted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        assert!(name.chars().all(is_accepted), "{api:?}: {name}");
        assert_eq!(shown["exclusiveMinimum"], 0, "{api:?}: {shown}");
        assert_eq!(shown.get("minimum"), None, "{api:?}: {shown}");
    }
}

#[test]
fn a_refusal_that_is_not_about_one_tool_fails() {
    let refused = script::error(400, "the schemas of good_one and odd_one are invalid");
    let server = ModelServer::always(refused);
    let report = crew(Api::OpenAi, &server).run().report(1);
    assert_eq!(report["agents"]["a"]["error"]["kind"], "bad_request");
    assert_eq!(server.requests().len(), 1);
}

/// Longer than OpenAI's servers accept.
const LONG_ID: &str =
    "call_Zk4l3nlnrrJhaPTLP8xhu3uw__thought__c2lnbmVkLCB0aGUgc2lnbmF0dXJlIG9mIGEgdGhvdWdodA";

/// A server that demands something of the turns with calls: the agents call a tool once each.
fn demanding(words: &'static str, is_accepted: fn(&Value) -> bool) -> ModelServer {
    ModelServer::start(move |request| {
        let messages = request.body["messages"].as_array().cloned().unwrap_or_default();
        let has_result = messages.iter().any(|message| message["role"] == "tool");
        match messages.iter().all(is_accepted) {
            false => script::error(400, words),
            true if has_result => script::text("fine"),
            true => calling(),
        }
    })
}

fn calling() -> Script {
    script::stream()
        .call(json!({"index": 0, "id": LONG_ID, "type": "function",
            "function": {"name": "good_one", "arguments": "{}"}}))
        .finish("tool_calls")
        .done()
}

#[test]
fn ids_and_reasoning_take_the_form_that_a_server_demands() {
    for (words, is_accepted) in [
        (
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with \
             maximum length 40, but got a string with length 84 instead.",
            (|message: &Value| {
                let ids = [&message["tool_call_id"], &message["tool_calls"][0]["id"]];
                ids.iter().filter_map(|id| id.as_str()).all(|id| id.len() <= 40)
            }) as fn(&Value) -> bool,
        ),
        (
            "Tool call id was call_Z but must be a-z, A-Z, 0-9, with a length of 9.",
            (|message: &Value| {
                let ids = [&message["tool_call_id"], &message["tool_calls"][0]["id"]];
                ids.iter()
                    .filter_map(|id| id.as_str())
                    .all(|id| id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
            }) as fn(&Value) -> bool,
        ),
        (
            "Invalid 'messages[1].tool_calls[0].id': string too long. Expected a string with \
             maximum length 20.",
            |message| message["tool_call_id"].as_str().is_none_or(|id| id.len() <= 20),
        ),
        (
            "thinking is enabled but reasoning_content is missing in assistant tool call message",
            |message| {
                message["role"] != "assistant"
                    || message["reasoning_content"].as_str().is_some_and(|text| !text.is_empty())
            },
        ),
        (
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            |message| message["role"] != "assistant" || !message["reasoning_content"].is_null(),
        ),
    ] {
        let server = demanding(words, is_accepted);
        let report = crew(Api::OpenAi, &server).run().report(0);
        assert_eq!(report["agents"]["b"]["output"], "fine");
        // Two turns of each agent, and one refusal.
        assert_eq!(server.requests().len(), 5, "{words}");
        let last = server.requests()[4].body["messages"].clone();
        let (call, result) = (&last[1]["tool_calls"][0]["id"], &last[2]["tool_call_id"]);
        assert_eq!(call, result, "{words}");
    }
}

/// The words: <https://github.com/decolua/9router/issues/393> and those of Anthropic's API.
#[test]
fn ids_of_another_server_take_the_form_of_the_api() {
    type Accepts = fn(&str) -> bool;
    let cases: [(Api, &str, Accepts, &str); 2] = [
        (
            Api::Anthropic,
            "functions.good_one:0",
            |id| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
            "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
        ),
        (
            Api::Responses,
            LONG_ID,
            |id| id.len() <= 64,
            "Invalid 'input[1].call_id': string too long. Expected a string with maximum length 64",
        ),
    ];
    for (api, id, accepts, words) in cases {
        let other = ModelServer::start(move |request| match request.has_tool_results() {
            true => script::error(404, "gone"),
            false => script::stream()
                .call(json!({"index": 0, "id": id, "type": "function",
                    "function": {"name": "good_one", "arguments": "{}"}}))
                .finish("tool_calls")
                .done(),
        });
        let server = ModelServer::start(move |request| {
            let found = api.results(request).iter().all(|(id, _)| accepts(id));
            let turn = api.own_turn(request).to_string();
            match found && !turn.contains(id) {
                true => api.text("fine"),
                false => api.error(400, "invalid_request_error", words),
            }
        });
        let report = Crew::new(formatdoc! {"
            providers:
              one: {{base_url: '{}'}}
              two: {{api: {}, base_url: '{}'}}
            tools:
              good_one: {{command: [echo, x], description: x}}
            agents:
              a: {{model: [one/m, two/m], tools: [good_one]}}
        ", other.base_url(), api.name(), api.base_url(&server)})
        .run()
        .report(0);
        assert_eq!(report["agents"]["a"]["output"], "fine", "{api:?}: {report:#}");
        let [(result, text)] = &api.results(&server.requests()[0])[..] else { panic!("{api:?}") };
        assert_eq!(text, "x\n");
        let turn = api.own_turn(&server.requests()[0]).to_string();
        assert!(turn.contains(result), "{api:?}: the result answers the call: {turn}");
    }
}

/// Fields beside those of OpenAI: <https://openrouter.ai/docs/use-cases/reasoning-tokens>,
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>.
#[test]
fn what_a_server_sends_with_a_call_goes_back_to_its_model_and_to_no_other() {
    let text = |text: &str| json!({"type": "reasoning.text", "index": 0, "text": text});
    let encrypted = json!({"type": "reasoning.encrypted", "index": 1, "data": "x"});
    let call = |at: u64, extra: Value| {
        json!({"index": at, "id": format!("call_{at}"), "type": "function", "extra_content": extra,
            "function": {"name": "good_one", "arguments": "{}"}})
    };
    let signed = |signature: &str| json!({"google": {"thought_signature": signature}});
    for (begun, place, expected) in [
        (
            script::stream()
                .delta(json!({"reasoning_details": [text("a")]}))
                .delta(json!({"reasoning_details": [text("b"), encrypted]}))
                .call(call(0, Value::Null)),
            "/reasoning_details",
            json!([text("ab"), encrypted]),
        ),
        (
            script::stream().call(call(0, signed("s1"))).call(call(1, signed("s2"))),
            "/tool_calls/1/extra_content",
            signed("s2"),
        ),
        (
            script::stream().delta(json!({"reasoning_content": ""})).call(call(0, Value::Null)),
            "/reasoning_content",
            json!(""),
        ),
    ] {
        let calls = begun.finish("tool_calls").done();
        let server = ModelServer::start(move |request| {
            match (request.model(), request.has_tool_results()) {
                ("own", false) => calls.clone(),
                ("own", true) => script::error(404, "gone"),
                _ => script::text("fine"),
            }
        });
        let report = Crew::new(formatdoc! {"
            providers:
              p: {{base_url: '{}'}}
            tools:
              good_one: {{command: [echo, x], description: x}}
            agents:
              a: {{model: [p/own, p/other], tools: [good_one]}}
        ", server.base_url()})
        .run()
        .report(0);
        assert_eq!(report["agents"]["a"]["output"], "fine");
        let [_, own, other] = &server.requests()[..] else { panic!("{:#?}", server.requests()) };
        let turn = |request: &Request| request.body["messages"][1].clone();
        assert_eq!(turn(own).pointer(place), Some(&expected), "{:#}", turn(own));
        assert_eq!(turn(other).pointer(place), None, "{:#}", turn(other));
    }
}

#[test]
fn an_older_gemini_server_gets_the_older_form() {
    let api = Api::Gemini;
    let is_refused = |request: &Request| request.body.to_string().contains("parametersJsonSchema");
    for words in [
        "Unknown name \"parametersJsonSchema\" at 'tools[0].function_declarations'",
        "Request contains an invalid argument.",
    ] {
        let server = ModelServer::start(move |request| match is_refused(request) {
            true => api.error(400, "INVALID_ARGUMENT", words),
            false => api.text("fine"),
        });
        crew(api, &server).run().report(0);
        assert_eq!(refusals(&server, is_refused), 1, "{words}");
        let declared = &server.requests()[1].body["tools"][0]["functionDeclarations"][0];
        assert_eq!(declared["parameters"]["properties"]["n"]["type"], "integer");
    }
}
