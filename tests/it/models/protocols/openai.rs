//! Chat completions. Shapes: `src/openai/types/chat` of <https://github.com/openai/openai-python>,
//! <https://platform.openai.com/docs/api-reference/chat>; reasoning:
//! <https://api-docs.deepseek.com/guides/thinking_mode>; errors in a stream:
//! <https://openrouter.ai/docs/api-reference/errors>.

use serde_json::{Value, json};

use super::wire::{
    NO_TOOL, PDF_DATA, PROMPT_WITH_FILE, Stop, Wire, data_url, effort, limited, parameters, schema,
};
use crate::support::api::{Api, PNG_DATA, TOKENS};
use crate::support::script::Script;

const API: Api = Api::OpenAi;

pub fn wire() -> Wire {
    Wire {
        api: API,
        request: request(),
        conversation: "/messages",
        calls: json!([
            {"role": "assistant", "content": null, "tool_calls": [
                call("call_0", "t", r#"{"n":1}"#), call("call_1", "t", r#"{"n":2}"#),
                call("call_2", "no", "{}")]},
            {"role": "tool", "tool_call_id": "call_0", "content": "n=1\n"},
            {"role": "tool", "tool_call_id": "call_1", "content": "n=2\n"},
            {"role": "tool", "tool_call_id": "call_2",
                "content": NO_TOOL},
        ]),
        reasoning: json!([
            {"role": "assistant", "content": "I look.", "reasoning_content": "I wonder",
                "tool_calls": [call("call_0", "t", r#"{"n":1}"#)]},
            {"role": "tool", "tool_call_id": "call_0", "content": "n=1\n"},
        ]),
        counted: API
            .begin("fine")
            .finish("stop")
            .event(&json!({"choices": [], "usage": {
                "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 50,
                    "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 12, "audio_tokens": 0}}}))
            .done(),
        counts: [100, 40, 50, 20, 12],
        cache_marks: &[],
        efforts: vec![
            effort("qwen3", "high", "/reasoning_effort", json!("high")),
            effort("gpt-5.1", "xhigh", "/reasoning_effort", json!("high")).clamped(),
            effort("gpt-4o-mini", "low", "/reasoning_effort", Value::Null).clamped(),
        ],
        attachments: json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": data_url("image/png", PNG_DATA)}},
            {"type": "file", "file": {"filename": "plan.pdf",
                "file_data": data_url("application/pdf", PDF_DATA)}},
            {"type": "text", "text": PROMPT_WITH_FILE}]}]),
        tool_image: json!([
            {"role": "tool", "tool_call_id": "call_0", "content": "[image: image/x, 9 bytes]"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": data_url("image/png", PNG_DATA)}}]},
        ]),
        format: (
            "/response_format",
            json!({"type": "json_schema", "json_schema":
                {"name": "answer", "schema": schema(), "strict": true}}),
        ),
        format_rejection: "unknown field response_format",
        stops: vec![
            (end("stop"), Stop::Meant("stop")),
            (end("length"), Stop::Meant("length")),
            (end("tired"), Stop::Unknown("tired")),
            (end("content_filter"), Stop::Withheld("content_filter")),
            (refusal(), Stop::Withheld("refused")),
            // vLLM, DeepSeek, Zhipu, OpenRouter.
            (end("abort"), Stop::Aborted("abort")),
            (end("insufficient_system_resource"), Stop::Aborted("insufficient_system_resource")),
            (end("network_error"), Stop::Aborted("network_error")),
            (end("error"), Stop::Aborted("error")),
        ],
        settings: [Some("/temperature"), Some("/top_p"), Some("/stop"), Some("/seed")],
        limits: vec![
            limited(API, &[("retry-after", "1")]),
            limited(API, &[("retry-after-ms", "1000")]),
            limited(
                API,
                &[
                    ("x-ratelimit-remaining-requests", "0"),
                    ("x-ratelimit-reset-requests", "1s"),
                    ("x-ratelimit-reset-tokens", "6m0s"),
                ],
            ),
        ],
        errors: vec![
            (
                json!({"error": {"message": "too busy", "type": "server_error", "code": null}}),
                "overloaded",
            ),
            (
                json!({"error": {"message": "too fast", "code": "rate_limit_exceeded"}}),
                "rate_limited",
            ),
            (
                json!({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
                    "error": {"code": 502, "message": "Provider disconnected"}}),
                "network",
            ),
        ],
        half_a_call: API.begin("I look.").call(json!({"index": 0, "id": "call_0",
            "type": "function", "function": {"name": "t", "arguments": "{\"n\":"}})),
        index: ("index", 0),
        rejections: &[
            (400, "invalid_request_error", "bad", "bad_request"),
            (400, "context_length_exceeded", "too long", "context_length"),
            (401, "invalid_api_key", "Incorrect API key provided", "auth"),
            (403, "unsupported_country", "not here", "auth"),
            (404, "model_not_found", "The model `m` does not exist", "bad_request"),
            (429, "rate_limit_exceeded", "slowly", "rate_limited"),
            (500, "server_error", "oops", "overloaded"),
            (503, "server_error", "The engine is overloaded", "overloaded"),
        ],
    }
}

/// <https://github.com/openai/openai-python/blob/main/src/openai/types/chat/completion_create_params.py>
fn request() -> Value {
    json!({
        "model": "m",
        "messages": [
            {"role": "system", "content": "Role: Tester"},
            {"role": "user", "content": "go"},
        ],
        "tools": [{"type": "function", "function":
            {"name": "t", "description": "echoes n", "parameters": parameters()}}],
        "stream": true,
        "stream_options": {"include_usage": true},
        "temperature": 0.5,
        "top_p": 0.25,
        "stop": ["END", "HALT"],
        "seed": 7,
        "max_tokens": 99,
        "x_tier": {"a": ["flex"]},
    })
}

fn call(id: &str, name: &str, arguments: &str) -> Value {
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn end(reason: &str) -> Script {
    API.end(API.begin("so far"), reason, TOKENS)
}

fn refusal() -> Script {
    let refused = API.begin("so far").delta(json!({"refusal": "I cannot help with that."}));
    API.end(refused, "stop", TOKENS)
}
