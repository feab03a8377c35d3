//! What goes wrong at a server, on the way, or with what a model may not be asked.

use std::time::Duration;

use serde_json::{Value, json};

use super::wire::{Stop, Wire};
use crate::support::api::{Api, TOKENS};
use crate::support::mock_model::{ModelServer, Request};
use crate::support::script::{Script, pieces};

/// The agent keeps this text as an answer without an end.
fn assert_partial(agent: &Value, text: &str) {
    assert_eq!(agent["status"], "failed", "{agent:#}");
    assert_eq!((&agent["output"], &agent["partial"]), (&json!(text), &json!(true)), "{agent:#}");
}

/// A script that breaks is retried, and its text stays if no attempt succeeds.
fn assert_retried(wire: &Wire, script: &Script, words: &str) {
    let server = ModelServer::sequence([script.clone(), wire.api.text("all of it")]);
    let (agent, _) = wire.run(&server, "tools: [t]");
    assert_eq!((&agent["output"], &agent["retries"]), (&json!("all of it"), &json!(1)), "{words}");
    assert_eq!(agent.get("partial"), None, "{words}");
    let requests = server.requests();
    assert_eq!(requests[0].body, requests[1].body, "{words}");

    // The last attempt brings no text, so that of the first one is the newest.
    let agent = wire.ask([script.clone(), wire.api.begin("").cut()], "retries: 1");
    assert_partial(&agent, "so far");
    let agent = wire.ask([script.clone()], "retries: 1");
    let message = agent["error"]["message"].as_str().unwrap();
    assert!(message.contains(words) && message.contains(" (after 2 attempts in "), "{message}");
}

pub fn stop_reasons(wire: &Wire) {
    for (script, stop) in &wire.stops {
        let server = ModelServer::sequence([script.clone(), wire.api.text("all of it")]);
        let (agent, ended) = wire.run(&server, "tools: [t]");
        let notes = agent["notes"].to_string();
        match *stop {
            Stop::Meant(reason) => {
                assert_eq!(
                    (&agent["output"], &agent["finish_reason"]),
                    (&json!("so far"), &json!(reason))
                );
                assert_eq!(agent.get("notes"), None, "{reason}");
                let is_cut = ended.stderr.contains("max_output_tokens");
                assert_eq!(is_cut, reason == "length", "{}", ended.stderr);
            }
            Stop::Unknown(reason) => {
                assert_eq!(
                    (&agent["output"], &agent["finish_reason"]),
                    (&json!("so far"), &json!(reason))
                );
                // The report has it in OpenAI's spelling, the note in the server's.
                let note = format!("unknown reason: {reason}");
                assert!(notes.to_lowercase().contains(&note), "{notes}");
            }
            Stop::Withheld(words) => {
                let message = agent["error"]["message"].as_str().unwrap();
                assert!(message.contains(words), "{words}: {message}");
                assert_eq!((&agent["retries"], server.requests().len()), (&json!(0), 1), "{words}");
            }
            Stop::Aborted(words) => assert_retried(wire, script, words),
        }
    }
}

pub fn refusals_of_settings(wire: &Wire) {
    let api = wire.api;
    let settings = [("temperature", "0.2"), ("top_p", "0.2"), ("stop", "[END]"), ("seed", "7")];
    for ((name, value), place) in settings.into_iter().zip(wire.settings) {
        let Some(place) = place else { continue };
        // As the API spells it.
        let own = place.rsplit('/').next().unwrap();
        for (status, words) in [
            (400, format!("Unsupported parameter: '{own}' is not supported with this model.")),
            (422, format!("Extra inputs are not permitted: {own}")),
        ] {
            let server =
                ModelServer::start(move |request| match request.body.pointer(place).is_some() {
                    true => api.error(status, "invalid_request_error", &words),
                    false => api.text("fine"),
                });
            let setting = format!("{name}: {value}");
            let more = format!("  b: {{model: mock/m, needs: [a], {setting}}}");
            let report = wire.crew(&server, &setting, &more).run().report(0);
            // It is learned once, and is no retry.
            assert_eq!(server.requests().len(), 3, "{setting}");
            for agent in ["a", "b"] {
                let agent = &report["agents"][agent];
                let note = format!("{name} was left out: mock/m rejects it");
                assert_eq!(agent["notes"], json!([note]), "{setting}");
                assert_eq!(agent["retries"], 0, "{setting}");
            }
        }
    }
}

/// The words: <https://github.com/skydiscover-ai/skydiscover/issues/15>.
pub fn one_of_two_settings(wire: &Wire) {
    let api = wire.api;
    let [Some(temperature), Some(top_p), ..] = wire.settings else { panic!("{api:?}") };
    let words = "`temperature` and `top_p` cannot both be specified for this model. Please use \
                 only one.";
    let server = ModelServer::start(move |request| {
        let has = |place: &str| request.body.pointer(place).is_some();
        match has(temperature) && has(top_p) {
            true => api.error(400, "invalid_request_error", words),
            false => api.text("fine"),
        }
    });
    let more = "  b: {model: mock/m, needs: [a], top_p: 0.9}";
    let report = wire.crew(&server, "temperature: 0.2, top_p: 0.9", more).run().report(0);
    let note = json!(["top_p was left out: mock/m rejects it"]);
    assert_eq!(report["agents"]["a"]["notes"], note, "{report:#}");
    assert_eq!(report["agents"]["b"].get("notes"), None, "it has one of the two only");
    let sent = |at: usize, place: &str| server.requests()[at].body.pointer(place).cloned();
    assert_eq!((sent(1, temperature), sent(1, top_p)), (Some(json!(0.2)), None));
    assert_eq!((sent(2, temperature), sent(2, top_p)), (None, Some(json!(0.9))));
}

/// A model takes a smaller limit than the file gives, or than crew itself does where the API demands
/// one. The words are those of `settings` in `provider`.
pub fn limits_of_output(wire: &Wire) {
    let api = wire.api;
    let limit = |request: &Request| {
        let places = ["/max_tokens", "/max_output_tokens", "/generationConfig/maxOutputTokens"];
        places.iter().find_map(|place| request.body.pointer(place)?.as_u64())
    };
    for words in [
        "max_tokens: 9000 > 4096, which is the maximum allowed number of output tokens for m-3",
        "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
        "Invalid 'max_output_tokens': integer above maximum value. Expected a value <= 4096",
    ] {
        let server = ModelServer::start(move |request| match limit(request) {
            Some(4097..) => api.error(400, "invalid_request_error", words),
            _ => api.text("fine"),
        });
        let more = "  b: {model: mock/m, needs: [a], max_output_tokens: 9000}\n  \
                    c: {model: mock/m, needs: [b]}\n  \
                    d: {model: mock/m, needs: [c], max_output_tokens: 50}";
        let report = wire.crew(&server, "max_output_tokens: 9000", more).run().report(0);
        for (agent, notes) in [("a", 1), ("b", 1), ("c", 0), ("d", 0)] {
            let note = "max_output_tokens: mock/m takes 4096 at most";
            let expected = if notes == 1 { json!([note]) } else { Value::Null };
            assert_eq!(report["agents"][agent]["notes"], expected, "{agent}: {words}");
            assert_eq!(report["agents"][agent]["retries"], 0, "{agent}: {words}");
        }
        let own = Some(4096).filter(|_| api == Api::Anthropic);
        let limits: Vec<_> = server.requests().iter().map(limit).collect();
        assert_eq!(limits, [Some(9000), Some(4096), Some(4096), own, Some(50)], "{words}");
    }
}

pub fn rejections_of_efforts(wire: &Wire) {
    let (api, form) = (wire.api, &wire.efforts[0]);
    for (words, is_left_out) in [
        ("effort: unsupported value, supported values are: 'medium'", false),
        ("the thinking level is not supported with this model", true),
    ] {
        let (place, rejected) = (form.place, form.sent.clone());
        let server = ModelServer::start(move |request| {
            match request.body.pointer(place) == Some(&rejected) {
                true => api.error(400, "invalid_request_error", words),
                false => api.text("fine"),
            }
        });
        let settings = format!("model: mock/{}, effort: {}", form.model, form.effort);
        let more = format!(
            "  b: {{{settings}, needs: [a]}}\n\
             \x20 c: {{{settings}, needs: [b]}}"
        );
        let report = wire.crew(&server, "", &more).run().report(0);
        // It is learned once, and is no retry.
        let requests = server.requests();
        assert_eq!(requests.len(), 4, "{words}");
        let sent = requests[3].body.pointer(place).map(Value::to_string).unwrap_or_default();
        assert_eq!(sent.contains("medium"), !is_left_out, "{words}: {sent}");
        let (name, wanted) = (form.model, form.effort);
        let note = match is_left_out {
            false => format!("effort: mock/{name} does not accept {wanted}; crew sent medium"),
            true => format!("effort was left out: mock/{name} does not accept one"),
        };
        for agent in ["b", "c"] {
            let agent = &report["agents"][agent];
            assert_eq!((&agent["notes"], &agent["retries"]), (&json!([note]), &json!(0)));
        }
    }
}

/// Servers reject what the model wrote, with the codes of
/// <https://console.groq.com/docs/tool-use> and <https://console.groq.com/docs/structured-outputs>,
/// which gateways pass on in the form of any API.
pub fn mistakes_of_the_model(wire: &Wire) {
    for code in ["tool_use_failed", "json_validate_failed"] {
        let rejection = wire.api.error(400, code, "Failed to generate. Please adjust your prompt.");
        let server = ModelServer::sequence([rejection.clone(), wire.api.text("fine")]);
        let (agent, _) = wire.run(&server, "tools: [t]");
        assert_eq!((&agent["output"], &agent["retries"]), (&json!("fine"), &json!(1)), "{code}");
        let requests = server.requests();
        assert_eq!(requests[0].body, requests[1].body, "{code}");
        let agent = wire.ask([rejection], "retries: 1");
        assert_eq!(agent["error"]["kind"], "invalid_response", "{code}: {agent:#}");
    }
}

pub fn rejections(wire: &Wire) {
    for &(status, code, message, kind) in wire.rejections {
        let agent = wire.ask([wire.api.error(status, code, message)], "retries: 0");
        let error = &agent["error"];
        assert_eq!(error["kind"], kind, "{status} {message}: {error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert_eq!(agent["output"], Value::Null);
        let may_pass = ["rate_limited", "overloaded"].contains(&kind);
        let answers = [wire.api.error(status, code, message), wire.api.text("now")];
        let agent = wire.ask(answers, "retries: 1");
        assert_eq!(agent["retries"], u32::from(may_pass), "{status} {message}");
        assert_eq!(agent["output"] == "now", may_pass, "{status} {message}");
    }
}

/// Words without a code. A unit test has those of more servers, and where they come from.
pub fn too_long_a_context(wire: &Wire) {
    let advice = "shorten the prompt, lower the tools' `max_output`, or use a model with more \
                  context";
    for words in [
        "the model's context length is only 8192 tokens, resulting in a maximum input length of 9",
        "Your input exceeds the context window of this model. Please adjust your input.",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "the input token count is 40000 but model only supports up to 32768.",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    ] {
        let rejected = wire.api.error(400, "invalid_request_error", words);
        let (agent, ended) = wire.run(&ModelServer::always(rejected), "retries: 1");
        assert_eq!(agent["error"]["kind"], "context_length", "{words}: {agent:#}");
        assert_eq!(agent["retries"], 0, "{words}");
        let shown = ended.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(shown.contains(advice), "{words}: {shown}");
    }
    // llama.cpp, while it writes: <https://github.com/ggml-org/llama.cpp/issues/19774>.
    let full = json!({"error": {"code": 500, "message": "Context size has been exceeded.",
        "type": "server_error"}});
    let agent = wire.ask([wire.api.begin("so far").event(&full)], "retries: 1");
    assert_eq!(agent["error"]["kind"], "context_length", "{agent:#}");
    assert_eq!(agent["retries"], 0);
    assert_partial(&agent, "so far");
}

pub fn rate_limits(wire: &Wire) {
    for script in &wire.limits {
        let server = ModelServer::sequence([script.clone(), wire.api.text("now")]);
        let (agent, _) = wire.run(&server, "");
        assert_eq!((&agent["output"], &agent["retries"]), (&json!("now"), &json!(1)), "{script:?}");
        let [first, second] = &server.requests()[..] else { panic!("{script:?}") };
        let waited = second.arrived - first.arrived;
        let expected = Duration::from_secs(1)..Duration::from_secs(20);
        assert!(expected.contains(&waited), "{waited:?}: {script:?}");
    }
}

pub fn mid_stream_errors(wire: &Wire) {
    let unexplained = json!({"error": {"message": "oh no", "type": "odd"}});
    assert_retried(wire, &wire.api.begin("so far").event(&unexplained), "oh no");
    for (event, kind) in &wire.errors {
        let begun = wire.api.begin("so far");
        let script =
            if event["type"].is_string() { begun.named(event) } else { begun.event(event) };
        let message = ["/error/message", "/message", "/response/error/message"];
        let message = message.iter().find_map(|place| event.pointer(place)?.as_str()).unwrap();
        assert_retried(wire, &script, message);
        let agent = wire.ask([script], "retries: 0");
        assert_eq!(agent["error"]["kind"], *kind, "{event}: {agent:#}");
        assert_partial(&agent, "so far");
    }
}

pub fn cut_streams(wire: &Wire) {
    let api = wire.api;
    let begun = || api.begin("so far");
    for script in [begun().cut(), begun().reset()] {
        assert_retried(wire, &script, "broke: ");
    }
    assert_retried(wire, &begun(), "the stream ended before");
    let agent = wire.ask([api.begin("").cut()], "retries: 0");
    assert_eq!((&agent["error"]["kind"], &agent["output"]), (&json!("network"), &Value::Null));
    // A call that is cut does not run.
    let half = || wire.half_a_call.clone();
    for cut in [half().cut(), half().reset(), half()] {
        let call = api.tool_calls(&[("t", &json!({"n": 7}))]);
        let agent = wire.ask([cut, call, api.text("done")], "tools: [t]");
        let calls = agent["tool_calls"].as_array().unwrap();
        assert_eq!(calls.len(), 1, "{agent:#}");
        assert_eq!((&calls[0]["output"], &agent["output"]), (&json!("n=7\n"), &json!("done")));
    }
}

/// The bytes of a response, with each of these parts replaced.
fn with(script: &Script, parts: &[(&str, &[u8])]) -> Script {
    let mut bytes = script.sent();
    for (part, by) in parts {
        let part = part.as_bytes();
        let mut replaced = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            if bytes[at..].starts_with(part) {
                replaced.extend_from_slice(by);
                at += part.len();
            } else {
                replaced.push(bytes[at]);
                at += 1;
            }
        }
        assert!(replaced != bytes, "the response has no {part:?}");
        bytes = replaced;
    }
    pieces(&[bytes])
}

pub fn hostile_bytes(wire: &Wire) {
    let api = wire.api;
    let answer = api.text("a @ b");
    let output = |script: Script| wire.ask([script], "retries: 0")["output"].clone();
    for (by, expected) in [
        (&b"\xff"[..], "a \u{fffd} b"),
        (b"\xf0\x9f", "a \u{fffd} b"),
        (br"\udc9d", "a \u{fffd} b"),
        (br"\ud83d", "a \u{fffd} b"),
        (b"\t", "a \t b"),
        (b"\x01\\n", "a \u{1}\n b"),
        (br"\ud83d\ude00", "a \u{1f600} b"),
    ] {
        assert_eq!(output(with(&answer, &[("@", by)])), expected, "{by:?}");
    }
    // Repeated keys, and what is no number.
    let (key, number) = wire.index;
    let own = format!("\"{key}\":{number}");
    for by in [
        format!("\"{key}\":7,{own}"),
        format!("{own},\"score\":NaN"),
        format!("\"scores\":[-Infinity,{{\"a\":1,\"a\":NaN}}],{own}"),
    ] {
        assert_eq!(output(with(&answer, &[(&own, by.as_bytes())])), "a @ b", "{by}");
    }
    // Halves of a character in two events, and one that stays alone.
    let halves = api.end(api.more(api.begin("a @1"), "@2 b@1"), "stop", TOKENS);
    let script = with(&halves, &[("@1", br"\ud83d"), ("@2", br"\ude00")]);
    assert_eq!(output(script), "a \u{1f600} b\u{fffd}");
    // What cannot be read fails, and the text before it is kept.
    let garbage = api.begin("so far").raw("data: {nonsense\n\ndata: {}\n\n");
    let agent = wire.ask([garbage], "retries: 0");
    assert_eq!(agent["error"]["kind"], "invalid_response");
    assert_partial(&agent, "so far");
}

pub fn answers_without_an_end(wire: &Wire) {
    let api = wire.api;
    let text = api.more(Script::default(), &"x".repeat(1000)).sent();
    let reasoning = api.reasoning(Script::default(), "hmm").sent();
    for (script, has_text) in [
        (api.begin("").flood(text, 1 << 30), true),
        (api.begin("").flood(reasoning, 1 << 30), false),
        (api.begin("").raw("data: ").flood("x".repeat(8192), 1 << 30), false),
    ] {
        let agent = wire.ask([script], "retries: 0, max_answer: 64KiB");
        assert_eq!(agent["error"]["kind"], "invalid_response", "{agent:#}");
        assert_eq!(agent["output"].is_string(), has_text);
        assert!(agent["output"].as_str().unwrap_or_default().len() <= 64 << 10);
    }
    // Silence, and an answer of which only the end of the connection is missing.
    let agent = wire.ask([api.begin("so far").stall()], "idle_timeout: 300ms");
    assert_eq!((&agent["error"]["scope"], &agent["output"]), (&json!("model"), &json!("so far")));
    let agent = wire.ask([api.text("whole").stall()], "idle_timeout: 300ms");
    assert_eq!(agent["output"], "whole");
    let nothing = api.end(api.begin(""), "stop", [1, 0, 1, 0]);
    assert_eq!(wire.ask([nothing], "retries: 0")["error"]["kind"], "invalid_response");
}
