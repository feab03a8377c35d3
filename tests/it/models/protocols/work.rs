//! What agents do with a model that answers: requests, and the parts of answers.

use serde_json::{Value, json};

use super::wire::{PDF, Wire};
use crate::support::api::{PNG, PNG_DATA};
use crate::support::crew::Crew;
use crate::support::mcp_server;
use crate::support::mock_model::ModelServer;

pub fn text(wire: &Wire) {
    let server = ModelServer::always(wire.api.text("héllo"));
    let settings = "role: Tester, tools: [t], temperature: 0.5, top_p: 0.25, stop: [END, HALT], \
                    seed: 7, max_output_tokens: 99, extra_body: {x_tier: {a: [flex]}}";
    let (agent, _) = wire.run(&server, settings);
    assert_eq!((&agent["output"], &agent["finish_reason"]), (&json!("héllo"), &json!("stop")));
    assert_eq!(agent["model"], "mock/m");
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", wire.api.path()));
    assert!(wire.has_key_in_its_place(request), "{request:#?}");
    assert_eq!(request.body, wire.request);
    // What the API has no place for is left out, and the agent says so.
    let notes = agent["notes"].to_string();
    for (name, place) in ["temperature", "top_p", "stop", "seed"].iter().zip(wire.settings) {
        assert_eq!(notes.contains(&format!("{name} was left out")), place.is_none(), "{notes}");
    }
}

pub fn tools_in_parallel(wire: &Wire) {
    let asks = [("t", &json!({"n": 1})), ("t", &json!({"n": 2})), ("no", &json!({}))];
    let server = ModelServer::sequence([wire.api.tool_calls(&asks), wire.api.text("done")]);
    let (agent, _) = wire.run(&server, "tools: [t]");
    assert_eq!(agent["output"], "done");
    let calls = agent["tool_calls"].as_array().unwrap();
    let outputs: Vec<_> = calls.iter().map(|call| call["output"].as_str().unwrap()).collect();
    assert_eq!(outputs[..2], ["n=1\n", "n=2\n"]);
    assert_eq!(calls[2]["status"], "rejected");
    let [_, second] = &server.requests()[..] else { panic!("{:#?}", server.requests()) };
    assert_eq!(json!(wire.conversation(second)[1..]), wire.calls);
    assert_eq!(agent["usage"]["input_tokens"], 20);
}

pub fn reasoning_carried_back(wire: &Wire) {
    let api = wire.api;
    let thought = api.more(api.reasoning(api.begin(""), "I wonder"), "I look.");
    let asks = api.calls(thought, &[("t", &json!({"n": 1}))]);
    let last = api.more(api.reasoning(api.begin(""), "I wonder"), "done");
    let server = ModelServer::sequence([
        api.end(asks, "tool_calls", [10, 4, 7, 3]),
        api.end(last, "stop", [20, 8, 6, 2]),
    ]);
    let (agent, ended) = wire.run(&server, "tools: [t]");
    assert_eq!(agent["output"], "done");
    assert!(!ended.stdout.contains("I wonder"), "{}", ended.stdout);
    assert_eq!(agent["usage"]["reasoning_tokens"], 5);
    assert_eq!(json!(wire.conversation(&server.requests()[1])[1..]), wire.reasoning);
}

pub fn usage(wire: &Wire) {
    let prices = "prices: {mock/m: {input: 10, output: 1, cached_input: 1, cache_write: 20}}";
    let server = ModelServer::always(wire.counted.clone());
    let report = wire.crew(&server, "retries: 0", prices).run().report(0);
    let usage = &report["agents"]["a"]["usage"];
    let names = ["input", "cached_input", "cache_write", "output", "reasoning"];
    let found = names.map(|name| usage[format!("{name}_tokens")].as_u64().unwrap());
    assert_eq!(found, wire.counts);
    let [input, read, written, output, _] = wire.counts.map(|count| count as f64);
    let cost = ((input - read - written) * 10.0 + read + written * 20.0 + output) / 1e6;
    assert!((usage["cost"].as_f64().unwrap() - cost).abs() < 1e-12, "{usage}");
    assert_eq!(usage.get("estimated_tokens"), None);
}

pub fn cache(wire: &Wire) {
    let api = wire.api;
    for (settings, places) in [("", wire.cache_marks), (", cache: 'off'", &[][..])] {
        let asks = api.calls(api.begin(""), &[("t", &json!({}))]);
        let server = ModelServer::sequence([
            api.end(asks, "tool_calls", [100, 0, 5, 0]),
            api.end(api.begin("done"), "stop", [120, 100, 5, 0]),
        ]);
        let (agent, _) = wire.run(&server, &format!("role: Tester, tools: [t]{settings}"));
        assert_eq!(agent["usage"]["cached_input_tokens"], 100);
        let body = &server.requests()[1].body;
        for place in places {
            assert_eq!(body.pointer(place), Some(&json!({"type": "ephemeral"})), "{place}: {body}");
        }
        assert_eq!(body.to_string().matches("cache").count(), places.len(), "{body}");
    }
}

pub fn effort(wire: &Wire) {
    for form in &wire.efforts {
        let server = ModelServer::always(wire.api.text("fine"));
        let settings = format!("model: mock/{}, effort: {}", form.model, form.effort);
        let agents = format!("  b: {{{settings}, needs: [a]}}");
        let report = wire.crew(&server, "", &agents).run().report(0);
        let body = &server.requests()[1].body;
        let found = body.pointer(form.place).unwrap_or(&Value::Null);
        assert_eq!(found, &form.sent, "{settings}: {body}");
        let notes = report["agents"]["b"]["notes"].to_string();
        assert_eq!(notes.contains("does not accept"), form.is_clamped, "{settings}: {notes}");
    }
}

fn put_files(crew: &Crew) {
    for (name, content) in
        [("shot.png", PNG), ("plan.pdf", PDF), ("notes.txt", "größe\n".as_bytes())]
    {
        std::fs::write(crew.path(name), content).unwrap();
    }
}

pub fn attachments(wire: &Wire) {
    let server = ModelServer::always(wire.api.text("fine"));
    let keys = "prompt: 'look: {{ input }}', attach: ['{{ vars.name }}.png', plan.pdf, notes.txt]";
    let crew = wire.crew(&server, keys, "vars: {name: shot}");
    put_files(&crew);
    crew.run().report(0);
    assert_eq!(json!(wire.conversation(&server.requests()[0])), wire.attachments);
}

pub fn images_of_tools(wire: &Wire) {
    let api = wire.api;
    let asks = || api.tool_calls(&[("fx__shot", &json!({}))]);
    let top = mcp_server::yaml("", "");
    let server = ModelServer::sequence([asks(), api.text("a chart")]);
    let report = wire.crew(&server, "tools: [fx.shot]", &top).run().report(0);
    assert_eq!(report["agents"]["a"]["output"], "a chart");
    let conversation = wire.conversation(&server.requests()[1]);
    let end = conversation.len() - wire.tool_image.as_array().unwrap().len();
    assert_eq!(json!(conversation[end..]), wire.tool_image);

    // A model that takes none is asked again without it, and the agent says so.
    let server = ModelServer::start(move |request| {
        let body = request.body.to_string();
        match (body.contains(PNG_DATA), body.contains("9 bytes")) {
            (true, _) => api.error(400, "invalid_request_error", "image input is not supported"),
            (false, true) => api.text("no chart"),
            (false, false) => api.tool_calls(&[("fx__shot", &json!({}))]),
        }
    });
    let report = wire.crew(&server, "tools: [fx.shot]", &top).run().report(0);
    let agent = &report["agents"]["a"];
    assert_eq!((&agent["output"], &agent["retries"]), (&json!("no chart"), &json!(0)));
    assert!(agent["notes"].to_string().contains("images of tools were left out"), "{agent:#}");
}

pub fn structured_answer(wire: &Wire) {
    let (api, (place, format)) = (wire.api, &wire.format);
    // A type that the listed values imply is added.
    let keys = "output_schema: {type: object, additionalProperties: false, required: [severity], \
                properties: {severity: {enum: [low, high]}}}";
    let good = r#"{"severity": "high"}"#;
    let server = ModelServer::always(api.text(good));
    let (agent, _) = wire.run(&server, keys);
    assert_eq!(agent["data"], json!({"severity": "high"}));
    let body = &server.requests()[0].body;
    assert_eq!(body.pointer(place), Some(format), "{body:#}");
    // Many servers ignore the format, so the schema stands in the messages too.
    assert!(body.to_string().contains(r#"\"required\":[\"severity\"]"#), "{body}");

    // Beside tools, models of many servers would not call them.
    let server = ModelServer::sequence([api.tool_calls(&[("t", &json!({}))]), api.text(good)]);
    let (agent, _) = wire.run(&server, &format!("tools: [t], {keys}"));
    assert_eq!(agent["data"], json!({"severity": "high"}));
    assert!(server.requests().iter().all(|request| request.body.pointer(place).is_none()));

    // A server without the format is called without it, and the answer is corrected.
    let (place, words) = (*place, wire.format_rejection);
    let server = ModelServer::start(move |request| {
        let is_corrected = request.body.to_string().contains("Answer again");
        match (request.body.pointer(place), is_corrected) {
            (Some(_), _) => api.error(400, "INVALID_ARGUMENT", words),
            (None, true) => api.text(good),
            (None, false) => api.text("It is the fan."),
        }
    });
    let (agent, _) = wire.run(&server, keys);
    assert_eq!(agent["data"], json!({"severity": "high"}));
    assert_eq!((&agent["usage"]["model_calls"], server.requests().len()), (&json!(2), 3));
    let last = server.requests()[2].body.to_string();
    assert!(last.contains("It is the fan.") && last.contains("not JSON"), "{last}");
}
