//! The Messages API. Shapes: `src/anthropic/types` of
//! <https://github.com/anthropics/anthropic-sdk-python>: `message_create_params.py`, `usage.py`,
//! `stop_reason.py`, `tool_result_block_param.py`; errors in a stream:
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>; marks:
//! <https://platform.claude.com/docs/en/build-with-claude/prompt-caching>; images and PDF:
//! <https://platform.claude.com/docs/en/build-with-claude/vision>,
//! <https://platform.claude.com/docs/en/build-with-claude/pdf-support>.

use serde_json::{Value, json};

use super::wire::{
    NO_TOOL, PDF_DATA, PROMPT_WITH_FILE, Stop, Wire, effort, limited, parameters, schema,
};
use crate::support::api::{Api, PNG_DATA, TOKENS};
use crate::support::script::Script;

const API: Api = Api::Anthropic;

pub fn wire() -> Wire {
    Wire {
        api: API,
        request: request(),
        conversation: "/messages",
        calls: json!([
            {"role": "assistant", "content": [call("call_0", "t", json!({"n": 1})),
                call("call_1", "t", json!({"n": 2})), call("call_2", "no", json!({}))]},
            {"role": "user", "content": [result("call_0", "n=1\n"), result("call_1", "n=2\n"),
                marked(result("call_2", NO_TOOL))]},
        ]),
        reasoning: json!([
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "I wonder", "signature": "c2lnbmVk"},
                {"type": "text", "text": "I look."},
                call("call_0", "t", json!({"n": 1}))]},
            {"role": "user", "content": [marked(result("call_0", "n=1\n"))]},
        ]),
        // The first event counts the prompt, the last one the answer.
        counted: Script::named(
            Script::named(
                crate::support::script::stream(),
                &json!({"type": "message_start", "message": {"type": "message", "content": [],
                    "usage": {"input_tokens": 10, "cache_creation_input_tokens": 50,
                        "cache_read_input_tokens": 40, "output_tokens": 1}}}),
            )
            .then(API.more(Script::default(), "fine")),
            &json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 20, "output_tokens_details":
                    {"thinking_tokens": 12}}}),
        )
        .named(&json!({"type": "message_stop"})),
        counts: [100, 40, 50, 20, 12],
        cache_marks: &[
            "/system/0/cache_control",
            "/messages/0/content/0/cache_control",
            "/messages/2/content/0/cache_control",
        ],
        efforts: vec![
            effort("claude-opus-4-7", "xhigh", "/output_config", json!({"effort": "xhigh"})),
            effort("claude-opus-4-7", "low", "/thinking", json!({"type": "adaptive"})),
            effort("claude-opus-4-7", "none", "/thinking", json!({"type": "disabled"})),
            effort("claude-sonnet-5", "minimal", "/output_config", json!({"effort": "low"}))
                .clamped(),
            effort(
                "claude-sonnet-4-5",
                "low",
                "/thinking",
                json!({"type": "enabled", "budget_tokens": 4096}),
            ),
            effort("claude-sonnet-4-5", "low", "/max_tokens", json!(8192 + 4096)),
        ],
        attachments: json!([{"role": "user", "content": [
            {"type": "image", "source": source("image/png", PNG_DATA)},
            {"type": "document", "source": source("application/pdf", PDF_DATA),
                "title": "plan.pdf"},
            {"type": "text", "text": PROMPT_WITH_FILE}]}]),
        tool_image: json!([{"role": "user", "content": [
            result("call_0", "[image: image/x, 9 bytes]"),
            marked(json!({"type": "image", "source": source("image/png", PNG_DATA)}))]}]),
        format: ("/output_config/format", json!({"type": "json_schema", "schema": schema()})),
        format_rejection: "output_config: Extra inputs are not permitted",
        stops: vec![
            (end("end_turn"), Stop::Meant("stop")),
            (end("stop_sequence"), Stop::Meant("stop")),
            (end("max_tokens"), Stop::Meant("length")),
            (end("model_context_window_exceeded"), Stop::Meant("length")),
            (end("tired"), Stop::Unknown("tired")),
            (end("refusal"), Stop::Withheld("refus")),
            (end("pause_turn"), Stop::Aborted("pause_turn")),
            (end("malformed_tool_use"), Stop::Aborted("malformed_tool_use")),
        ],
        settings: [Some("/temperature"), Some("/top_p"), Some("/stop_sequences"), None],
        limits: vec![
            limited(API, &[("retry-after", "1")]),
            limited(API, &[("retry-after-ms", "1000")]),
        ],
        errors: vec![
            (
                json!({"type": "error", "error":
                    {"type": "overloaded_error", "message": "Overloaded"}}),
                "overloaded",
            ),
            (
                json!({"type": "error", "error":
                    {"type": "rate_limit_error", "message": "too fast"}}),
                "rate_limited",
            ),
            (
                json!({"type": "error", "error": {"type": "api_error", "message": "oops"}}),
                "overloaded",
            ),
        ],
        half_a_call: API
            .begin("I look.")
            .named(&json!({"type": "content_block_start", "index": 1, "content_block":
                {"type": "tool_use", "id": "call_0", "name": "t", "input": {}}}))
            .named(&json!({"type": "content_block_delta", "index": 1, "delta":
                {"type": "input_json_delta", "partial_json": "{\"n\":"}})),
        index: ("index", 0),
        // <https://platform.claude.com/docs/en/api/errors>
        rejections: &[
            (400, "invalid_request_error", "bad", "bad_request"),
            (
                400,
                "invalid_request_error",
                "prompt is too long: 9 tokens > 8 maximum",
                "context_length",
            ),
            (401, "authentication_error", "invalid x-api-key", "auth"),
            (403, "permission_error", "not yours", "auth"),
            (404, "not_found_error", "model: m", "bad_request"),
            (413, "request_too_large", "too large", "bad_request"),
            (429, "rate_limit_error", "slowly", "rate_limited"),
            (500, "api_error", "oops", "overloaded"),
            (529, "overloaded_error", "Overloaded", "overloaded"),
        ],
    }
}

fn request() -> Value {
    json!({
        "model": "m",
        "system": [marked(json!({"type": "text", "text": "Role: Tester"}))],
        "messages": [{"role": "user", "content": [marked(json!({"type": "text", "text": "go"}))]}],
        "tools": [{"name": "t", "description": "echoes n", "input_schema": parameters()}],
        "max_tokens": 99,
        "temperature": 0.5,
        "top_p": 0.25,
        "stop_sequences": ["END", "HALT"],
        "stream": true,
        "x_tier": {"a": ["flex"]},
    })
}

/// A block at whose end the server stores the prompt.
fn marked(mut block: Value) -> Value {
    block["cache_control"] = json!({"type": "ephemeral"});
    block
}

fn call(id: &str, name: &str, input: Value) -> Value {
    json!({"type": "tool_use", "id": id, "name": name, "input": input})
}

fn result(id: &str, content: &str) -> Value {
    json!({"type": "tool_result", "tool_use_id": id, "content": content})
}

fn source(kind: &str, data: &str) -> Value {
    json!({"type": "base64", "media_type": kind, "data": data})
}

fn end(reason: &str) -> Script {
    API.end(API.begin("so far"), reason, TOKENS)
}
