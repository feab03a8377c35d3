//! `generateContent`. Shapes: `google/genai/types.py` of
//! <https://github.com/googleapis/python-genai>, <https://ai.google.dev/api/generate-content>;
//! signatures: <https://ai.google.dev/gemini-api/docs/thought-signatures>; limits:
//! <https://ai.google.dev/gemini-api/docs/rate-limits> with the details of
//! <https://cloud.google.com/apis/design/errors>.

use serde_json::{Value, json};

use super::wire::{NO_TOOL, PDF_DATA, PROMPT_WITH_FILE, Stop, Wire, effort, limited, parameters};
use crate::support::api::{Api, PNG_DATA, TOKENS};
use crate::support::script::{Script, json_body};

const API: Api = Api::Gemini;

pub fn wire() -> Wire {
    let thinking = "/generationConfig/thinkingConfig";
    Wire {
        api: API,
        request: request(),
        conversation: "/contents",
        // The calls go back as they came, with the signature of the first one.
        calls: json!([
            {"role": "model", "parts": [
                {"functionCall": {"name": "t", "args": {"n": 1}}, "thoughtSignature": "c2lnbmVk"},
                {"functionCall": {"name": "t", "args": {"n": 2}}},
                {"functionCall": {"name": "no", "args": {}}}]},
            {"role": "user", "parts": [result("t", "n=1\n"), result("t", "n=2\n"),
                result("no", NO_TOOL)]},
        ]),
        reasoning: json!([
            {"role": "model", "parts": [
                {"text": "I look."},
                {"functionCall": {"name": "t", "args": {"n": 1}}, "thoughtSignature": "c2lnbmVk"}]},
            {"role": "user", "parts": [result("t", "n=1\n")]},
        ]),
        counted: API.begin("fine").event(&json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]},
                "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 90, "toolUsePromptTokenCount": 10,
                "cachedContentTokenCount": 40, "candidatesTokenCount": 8,
                "thoughtsTokenCount": 12, "totalTokenCount": 120}})),
        counts: [100, 40, 0, 20, 12],
        cache_marks: &[],
        efforts: vec![
            effort("gemini-3-flash", "low", thinking, json!({"thinkingLevel": "low"})),
            effort("gemini-3-pro-preview", "medium", thinking, json!({"thinkingLevel": "low"}))
                .clamped(),
            effort("gemini-2.5-flash", "none", thinking, json!({"thinkingBudget": 0})),
            effort("gemini-2.5-flash", "high", thinking, json!({"thinkingBudget": 16384})),
        ],
        attachments: json!([{"role": "user", "parts": [
            {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}},
            {"inlineData": {"mimeType": "application/pdf", "data": PDF_DATA}},
            {"text": PROMPT_WITH_FILE}]}]),
        tool_image: json!([{"role": "user", "parts": [
            result("fx__shot", "[image: image/x, 9 bytes]"),
            {"inlineData": {"mimeType": "image/png", "data": PNG_DATA}}]}]),
        format: (
            "/generationConfig/responseSchema",
            json!({"type": "object", "required": ["severity"],
                "properties": {"severity":
                    {"enum": ["low", "high"], "type": "string", "format": "enum"}}}),
        ),
        format_rejection: "Request contains an invalid argument.",
        stops: stops(),
        settings: [
            Some("/generationConfig/temperature"),
            Some("/generationConfig/topP"),
            Some("/generationConfig/stopSequences"),
            Some("/generationConfig/seed"),
        ],
        limits: vec![
            json_body(429, &retry_info()),
            limited(API, &[("retry-after", "1")]),
        ],
        errors: vec![
            (
                json!({"error": {"code": 503, "message": "The model is overloaded.",
                    "status": "UNAVAILABLE"}}),
                "overloaded",
            ),
            (
                json!({"error": {"code": 429, "message": "too fast",
                    "status": "RESOURCE_EXHAUSTED"}}),
                "rate_limited",
            ),
            (
                json!({"error": {"code": 500, "message": "oops", "status": "INTERNAL"}}),
                "overloaded",
            ),
        ],
        // A call always arrives whole, in one event.
        half_a_call: API.begin("I look.").raw(
            "data: {\"candidates\": [{\"content\": {\"parts\": [{\"functionCall\": {\"name\": \"t\", ",
        ),
        index: ("index", 0),
        rejections: &[
            (400, "INVALID_ARGUMENT", "Invalid JSON payload", "bad_request"),
            (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", "auth"),
            (
                400,
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                "context_length",
            ),
            (403, "PERMISSION_DENIED", "not yours", "auth"),
            (404, "NOT_FOUND", "models/m is not found", "bad_request"),
            (429, "RESOURCE_EXHAUSTED", "quota", "rate_limited"),
            (500, "INTERNAL", "oops", "overloaded"),
            (503, "UNAVAILABLE", "The model is overloaded.", "overloaded"),
        ],
    }
}

fn request() -> Value {
    json!({
        "systemInstruction": {"parts": [{"text": "Role: Tester"}]},
        "contents": [{"role": "user", "parts": [{"text": "go"}]}],
        "tools": [{"functionDeclarations": [{"name": "t", "description": "echoes n",
            "parametersJsonSchema": parameters()}]}],
        "generationConfig": {"temperature": 0.5, "topP": 0.25, "stopSequences": ["END", "HALT"],
            "seed": 7, "maxOutputTokens": 99},
        "x_tier": {"a": ["flex"]},
    })
}

fn result(name: &str, output: &str) -> Value {
    json!({"functionResponse": {"name": name, "response": {"output": output}}})
}

fn retry_info() -> Value {
    json!({"error": {"code": 429, "message": "You exceeded your current quota",
        "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations":
                [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]}})
}

fn stops() -> Vec<(Script, Stop)> {
    let end = |reason: &str| API.end(API.begin("so far"), reason, TOKENS);
    let blocked = API.begin("").event(&json!({"promptFeedback": {"blockReason": "SAFETY"}}));
    vec![
        (end("STOP"), Stop::Meant("stop")),
        (end("MAX_TOKENS"), Stop::Meant("length")),
        (end("TIRED"), Stop::Unknown("tired")),
        (end("SAFETY"), Stop::Withheld("SAFETY")),
        (end("RECITATION"), Stop::Withheld("RECITATION")),
        (blocked, Stop::Withheld("blocked the prompt")),
        (end("MALFORMED_FUNCTION_CALL"), Stop::Aborted("MALFORMED_FUNCTION_CALL")),
        (end("UNEXPECTED_TOOL_CALL"), Stop::Aborted("UNEXPECTED_TOOL_CALL")),
        (end("OTHER"), Stop::Aborted("OTHER")),
        (end("IMAGE_ERROR"), Stop::Aborted("IMAGE_ERROR")),
        (end("MALFORMED_RESPONSE"), Stop::Aborted("MALFORMED_RESPONSE")),
    ]
}
