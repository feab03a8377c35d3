//! The Responses API. Shapes: `src/openai/types/responses` of
//! <https://github.com/openai/openai-python>: `response_create_params.py`, `response_usage.py`,
//! `response_error_event.py`, `response.py`; encrypted reasoning:
//! <https://platform.openai.com/docs/guides/reasoning>.

use serde_json::{Value, json};

use super::wire::{
    NO_TOOL, PDF_DATA, PROMPT_WITH_FILE, Stop, Wire, data_url, effort, limited, parameters, schema,
};
use crate::support::api::{Api, PNG_DATA, TOKENS};
use crate::support::script::Script;

const API: Api = Api::Responses;

pub fn wire() -> Wire {
    Wire {
        api: API,
        request: request(),
        conversation: "/input",
        calls: json!([
            call("call_0", "t", r#"{"n":1}"#),
            call("call_1", "t", r#"{"n":2}"#),
            call("call_2", "no", "{}"),
            result("call_0", "n=1\n"),
            result("call_1", "n=2\n"),
            result("call_2", NO_TOOL),
        ]),
        reasoning: json!([
            {"type": "reasoning", "summary": [], "encrypted_content": "c2lnbmVk"},
            {"role": "assistant", "content": "I look."},
            call("call_0", "t", r#"{"n":1}"#),
            result("call_0", "n=1\n"),
        ]),
        counted: API.begin("fine").named(&ended(
            "completed",
            json!({"usage": {
            "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
            "input_tokens_details": {"cached_tokens": 40},
            "output_tokens_details": {"reasoning_tokens": 12}}}),
        )),
        counts: [100, 40, 0, 20, 12],
        cache_marks: &[],
        efforts: vec![
            effort("gpt-5", "high", "/reasoning", json!({"effort": "high"})),
            effort("gpt-5", "none", "/reasoning", json!({"effort": "minimal"})).clamped(),
            effort("o3", "max", "/reasoning", json!({"effort": "high"})).clamped(),
        ],
        attachments: json!([
            {"role": "user", "content": [
                {"type": "input_image", "image_url": data_url("image/png", PNG_DATA)},
                {"type": "input_file", "filename": "plan.pdf",
                    "file_data": data_url("application/pdf", PDF_DATA)}]},
            {"role": "user", "content": PROMPT_WITH_FILE},
        ]),
        tool_image: json!([
            result("call_0", "[image: image/x, 9 bytes]"),
            {"role": "user", "content": [
                {"type": "input_image", "image_url": data_url("image/png", PNG_DATA)}]},
        ]),
        format: (
            "/text/format",
            json!({"type": "json_schema", "name": "answer", "schema": schema(), "strict": true}),
        ),
        format_rejection: "Unsupported parameter: 'text.format'",
        stops: stops(),
        settings: [Some("/temperature"), Some("/top_p"), None, None],
        limits: vec![
            limited(API, &[("retry-after", "1")]),
            limited(API, &[("retry-after-ms", "1000")]),
            limited(
                API,
                &[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1s")],
            ),
        ],
        errors: vec![
            (
                json!({"type": "error", "code": "server_error", "message": "too busy",
                    "param": null, "sequence_number": 3}),
                "overloaded",
            ),
            (
                json!({"type": "error", "code": "rate_limit_exceeded", "message": "too fast",
                    "param": null, "sequence_number": 3}),
                "rate_limited",
            ),
            (
                ended("failed", json!({"error": {"code": "server_error", "message": "it failed"}})),
                "overloaded",
            ),
        ],
        half_a_call: API
            .begin("I look.")
            .named(&json!({"type": "response.output_item.added", "output_index": 2,
                "item": call("call_0", "t", "")}))
            .named(&json!({"type": "response.function_call_arguments.delta", "output_index": 2,
                "delta": "{\"n\":"})),
        index: ("output_index", 1),
        rejections: &[
            (400, "invalid_request_error", "bad", "bad_request"),
            (400, "context_length_exceeded", "too long", "context_length"),
            (401, "invalid_api_key", "Incorrect API key provided", "auth"),
            (404, "model_not_found", "The model `m` does not exist", "bad_request"),
            (429, "rate_limit_exceeded", "slowly", "rate_limited"),
            (500, "server_error", "oops", "overloaded"),
        ],
    }
}

/// Nothing is stored, so the reasoning has to come along:
/// <https://platform.openai.com/docs/guides/migrate-to-responses>.
fn request() -> Value {
    json!({
        "model": "m",
        "instructions": "Role: Tester",
        "input": [{"role": "user", "content": "go"}],
        "tools": [{"type": "function", "name": "t", "description": "echoes n",
            "parameters": parameters(), "strict": false}],
        "stream": true,
        "store": false,
        "include": ["reasoning.encrypted_content"],
        "temperature": 0.5,
        "top_p": 0.25,
        "max_output_tokens": 99,
        "x_tier": {"a": ["flex"]},
    })
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
}

fn result(id: &str, output: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": output})
}

/// The event at the end of a stream.
fn ended(status: &str, more: Value) -> Value {
    let mut response = json!({"object": "response", "status": status, "error": null,
        "incomplete_details": null});
    for (key, value) in more.as_object().unwrap() {
        response[key] = value.clone();
    }
    json!({"type": format!("response.{status}"), "response": response})
}

fn stops() -> Vec<(Script, Stop)> {
    let end = |status: &str, more: Value| API.begin("so far").named(&ended(status, more));
    let incomplete = |reason: &str| {
        end(
            "incomplete",
            json!({"incomplete_details":
        {"reason": reason}}),
        )
    };
    let refusal = API.begin("so far").named(&json!({"type": "response.refusal.delta",
        "output_index": 1, "content_index": 0, "delta": "I cannot help with that."}));
    vec![
        (end("completed", json!({})), Stop::Meant("stop")),
        (incomplete("max_output_tokens"), Stop::Meant("length")),
        (incomplete("content_filter"), Stop::Withheld("content_filter")),
        (API.end(refusal, "stop", TOKENS), Stop::Withheld("refused")),
        (incomplete("tired"), Stop::Aborted("tired")),
        (
            end("cancelled", json!({})).named(&json!({"type": "response.incomplete",
            "response": {"object": "response", "status": "cancelled"}})),
            Stop::Aborted("cancelled"),
        ),
        (
            end("failed", json!({"error": {"code": "server_error", "message": "it failed"}})),
            Stop::Aborted("it failed"),
        ),
    ]
}
