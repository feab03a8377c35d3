//! Errors of real servers and their meaning.

use serde_json::json;

use super::*;
use crate::provider::settings::RejectedSettings;

type Row<'a> = (Option<u16>, &'a str, ErrorKind, bool);

#[track_caller]
fn check(rows: &[Row<'_>]) {
    for &(status, body, kind, retryable) in rows {
        let found = ServerError::from_body(body.as_bytes()).verdict(status);
        assert_eq!(found, verdict(kind, retryable), "{status:?} {body}");
    }
}

#[test]
fn statuses_and_codes() {
    check(&[
        (Some(401), "", Auth, false),
        (Some(403), "{}", Auth, false),
        (Some(402), r#"{"error":{"message":"Insufficient credits"}}"#, RateLimited, false),
        (Some(429), r#"{"error":{"code":"rate_limit_exceeded"}}"#, RateLimited, true),
        (Some(429), r#"{"error":{"code":"insufficient_quota"}}"#, RateLimited, false),
        (
            Some(429),
            r#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":
                "Request too large for gpt on tokens per min: Limit 300, Requested 610."}}"#,
            ContextLength,
            false,
        ),
        (
            Some(429),
            r#"{"error":{"message":"context window tokens per minute"}}"#,
            RateLimited,
            true,
        ),
        (Some(407), "", Network, false),
        (Some(408), "", Network, true),
        (Some(409), "", Overloaded, true),
        (Some(500), "oops", Overloaded, true),
        (Some(502), "", Network, true),
        (Some(503), "", Overloaded, true),
        (Some(504), "", Network, true),
        (Some(529), "", Overloaded, true),
        (Some(404), "", BadRequest, false),
        (Some(422), r#"{"detail":[{"loc":["body"]}]}"#, BadRequest, false),
        (Some(400), r#"{"error":{"code":"context_length_exceeded"}}"#, ContextLength, false),
        (
            Some(400),
            r#"{"error":"This model's maximum context length is 10"}"#,
            ContextLength,
            false,
        ),
        (Some(400), r#"[{"error":{"code":400,"message":"API key not valid."}}]"#, Auth, false),
        (None, r#"{"error":{"type":"server_error"}}"#, Overloaded, true),
        (None, r#"{"error":{"code":429}}"#, RateLimited, true),
        (None, r#"{"error":{"code":"503"}}"#, Overloaded, true),
        (None, r#"{"error":{"code":"rate_limit_exceeded"}}"#, RateLimited, true),
        (None, r#"{"error":{"type":"invalid_request_error"}}"#, BadRequest, false),
        (
            None,
            r#"{"error":{"code":"invalid_api_key","type":"invalid_request_error"}}"#,
            Auth,
            false,
        ),
        (None, r#"{"error":"it broke"}"#, InvalidResponse, false),
    ]);
}

#[test]
fn errors_of_anthropic_and_google() {
    check(&[
        (
            Some(400),
            r#"{"type":"error","error":{"type":"invalid_request_error","message":
                "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000"}}"#,
            ContextLength,
            false,
        ),
        (
            Some(400),
            r#"{"error":{"code":400,"status":"INVALID_ARGUMENT","message":
                "The input token count (2) exceeds the maximum number of tokens allowed (1)."}}"#,
            ContextLength,
            false,
        ),
        (
            Some(400),
            r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low"}}"#,
            RateLimited,
            false,
        ),
        (Some(429), r#"{"error":{"status":"RESOURCE_EXHAUSTED"}}"#, RateLimited, true),
        (
            Some(429),
            r#"{"error":{"details":[{"violations":[{"quotaId":"RequestsPerDayPerProject"}]}]}}"#,
            RateLimited,
            false,
        ),
        (None, r#"{"error":{"type":"overloaded_error"}}"#, Overloaded, true),
        (None, r#"{"type":"error","error":{"type":"api_error"}}"#, Overloaded, true),
        (None, r#"{"error":{"type":"authentication_error"}}"#, Auth, false),
        (None, r#"{"error":{"code":503,"status":"UNAVAILABLE"}}"#, Overloaded, true),
    ]);
}

/// The words of vendors and servers, from public reports:
/// <https://github.com/ggml-org/llama.cpp/issues/19774> (with status 500 as well),
/// <https://github.com/OpenBMB/MiniCPM-V/issues/1048>,
/// <https://github.com/langchain-ai/deepagents/issues/468>,
/// <https://github.com/lmstudio-ai/lmstudio-bug-tracker/issues/546>,
/// <https://github.com/Gitlawb/openclaude/issues/353>,
/// <https://github.com/anomalyco/opencode/issues/11141> (LM Studio),
/// <https://github.com/google-gemini/gemini-cli/issues/19727>,
/// <https://github.com/cline/cline/issues/3120> (xAI),
/// <https://github.com/MoonshotAI/kimi-cli/issues/2011>,
/// <https://github.com/QwenLM/qwen-code/issues/98>,
/// <https://github.com/zeroclaw-labs/zeroclaw/issues/4124> (Zhipu),
/// <https://github.com/microsoft/vscode/issues/289514> (GitHub).
#[test]
fn words_about_a_context_that_is_too_long_need_no_code() {
    for words in [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens.",
        "the model's context length is only 8192 tokens, resulting in a maximum input length of 9",
        "The decoder prompt (length 2136) is longer than the maximum model length of 2048.",
        "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
        "the request exceeds the available context size, try increasing it",
        "Context size has been exceeded.",
        "The number of tokens to keep from the initial prompt is greater than the context length",
        "Trying to keep the first 9 tokens. The model is loaded with context length of only 8",
        "Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)",
        "prompt is too long: 210000 tokens > 200000 maximum",
        "prompt too long; exceeded max context length by 4 tokens",
        "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
        "Input is too long for requested model.",
        "Too many input tokens. Max input tokens: 8192, request input token count: 9000",
        "Your input exceeds the context window of this model.",
        "Input tokens exceed the configured limit of 272000 tokens.",
        "invalid params, context window exceeds limit (2013)",
        "litellm.ContextWindowExceededError: too much",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        "the input token count is 40000 but model only supports up to 32768.",
        "prompt token count of 514673 exceeds the limit of 128000",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        "Please reduce the length of the messages or completion. Current length is 9, limit is 8",
        "Input length 265330 exceeds the maximum allowed input length of 262144 tokens.",
        "total number of tokens in the prompt cannot exceed 4081 - received 4292.",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 269030)",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]",
        "Prompt exceeds max length",
        "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    ] {
        let error = ServerError::from_body(json!({"error": words}).to_string().as_bytes());
        for status in [Some(400), Some(413), Some(422), Some(500), None] {
            assert_eq!(error.verdict(status), verdict(ContextLength, false), "{words}");
        }
        assert_eq!(error.verdict(Some(429)), verdict(RateLimited, true), "{words}");
    }
    for words in [
        "max_tokens is too large: 99999. This model supports at most 16384 completion tokens",
        "Invalid 'input[5].call_id': string too long. Expected a string with maximum length 64",
        "Input validation error: `inputs` cannot be empty",
        "at most 128 tools are supported",
        "the prompt is missing",
    ] {
        let error = ServerError::from_body(json!({"error": words}).to_string().as_bytes());
        assert_eq!(error.verdict(Some(400)), verdict(BadRequest, false), "{words}");
    }
}

#[test]
fn a_quota_of_google_is_one_of_a_model_or_of_the_project() {
    for (quotas, effect) in [
        (&["RequestsPerDayPerProjectPerModel-FreeTier"][..], Effect::StopModel),
        (&["RequestsPerDayPerProjectPerModel", "RequestsPerDayPerProject"], Effect::StopEndpoint),
        (&["RequestsPerMinutePerProjectPerModel"], Effect::PauseModel),
        (&["RequestsPerMinutePerProject"], Effect::PauseEndpoint),
    ] {
        let violations: Vec<_> =
            quotas.iter().map(|quota| serde_json::json!({"quotaId": quota})).collect();
        let body = serde_json::json!({"error": {"details": [{"violations": violations}]}});
        let error = ServerError::from_body(body.to_string().as_bytes());
        assert_eq!(error.effect(Some(429), error.verdict(Some(429)), "m"), effect, "{quotas:?}");
    }
}

#[test]
fn messages() {
    for (body, message) in [
        (r#"{"error":{"message":"no such model"}}"#, Some("no such model")),
        (r#"{"error":"no such model"}"#, Some("no such model")),
        (r#"{"error":"Not Found","message":"no such path"}"#, Some("no such path")),
        (r#"{"message":"hello"}"#, Some("hello")),
        (r#"{"detail":"hello"}"#, Some("hello")),
        (r#"{"detail":[{"loc":1}]}"#, Some(r#"[{"loc":1}]"#)),
        ("first\nsecond", Some("first")),
        (
            "<!DOCTYPE html>\n<html><head><style>b{}</style><title>502 Bad Gateway</title></head><body>x",
            Some("502 Bad Gateway"),
        ),
        ("<html><script>let a = 1;</script><body><h1>Down</h1>for now", Some("Down")),
        ("<", None),
        ("", None),
        ("null", None),
        ("[]", None),
    ] {
        assert_eq!(ServerError::from_body(body.as_bytes()).message.as_deref(), message, "{body}");
    }
}

#[test]
fn waits_in_the_body() {
    for (delay, wait) in [
        ("34.5s", Some(34_500)),
        ("1e300s", Some(3_600_000)),
        ("-1s", None),
        ("NaNs", None),
        ("soon", None),
    ] {
        let body = format!(r#"{{"error":{{"details":[{{"retryDelay":"{delay}"}}]}}}}"#);
        let found = ServerError::from_body(body.as_bytes()).retry_after;
        assert_eq!(found, wait.map(Duration::from_millis), "{delay}");
    }
}

/// The headers: <https://openrouter.ai/docs/api-reference/limits>.
#[test]
fn waits_in_fields_and_in_headers_that_the_body_repeats() {
    let error = |more: Value| {
        let mut error = json!({"message": "slow down", "code": 429});
        error.as_object_mut().into_iter().for_each(|error| {
            error.extend(more.as_object().cloned().unwrap_or_default());
        });
        ServerError::from_body(json!({"error": error}).to_string().as_bytes()).retry_after
    };
    let headers = |reset: Value| {
        json!({"metadata": {"headers": {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": reset}, "provider_name": null}})
    };
    for (more, seconds) in [
        (json!({"retry_after": 7}), Some(7)),
        (json!({"retry_after": "7"}), Some(7)),
        (json!({"metadata": {"retry_after_seconds": 7.0}}), Some(7)),
        (json!({"retry_after": "soon"}), None),
        (json!({"retry_after": -7}), None),
        (json!({"retry_after": {}}), None),
        // Long past, and far ahead.
        (headers("1741305600000".into()), Some(0)),
        (headers(4_102_444_800_000_u64.into()), Some(3600)),
        (headers("no time".into()), None),
        (json!({"metadata": {"headers": {"bad name": "x", "x-ratelimit-reset": "\n"}}}), None),
        (json!({"metadata": {"headers": 7}}), None),
    ] {
        assert_eq!(error(more.clone()), seconds.map(Duration::from_secs), "{more}");
    }
}

#[test]
fn a_rejection_is_about_the_call_the_model_or_the_endpoint() {
    use Effect::{Call, DenyModel, PauseEndpoint, PauseModel, StopEndpoint, StopModel};
    let error = |message: &str| json!({"error": {"message": message}});
    let typed = |kind: &str| json!({"error": {"message": "no", "type": kind}});
    for (status, body, effect) in [
        (Some(401), error("invalid key"), StopEndpoint),
        (Some(401), error("this key may not use acme/big-1"), DenyModel),
        (Some(401), error("this key may not use BIG-1."), DenyModel),
        (Some(401), error("no access to the model"), DenyModel),
        (Some(401), error("big-10 is fine, your key is not"), StopEndpoint),
        (Some(400), error("API key not valid"), StopEndpoint),
        (Some(402), error("no credit"), DenyModel),
        (Some(403), error("no"), DenyModel),
        (Some(403), error("your prompt was flagged"), Call),
        (Some(404), error("no"), StopModel),
        (None, typed("permission_error"), DenyModel),
        (None, typed("authentication_error"), StopEndpoint),
        (None, json!({"error": {"message": "no", "code": 402}}), DenyModel),
        (Some(429), json!({"error": {"code": "insufficient_quota"}}), StopEndpoint),
        (Some(429), error("Rate limit exceeded: free-models-per-day."), DenyModel),
        (Some(403), error("Key limit exceeded (total limit)."), DenyModel),
        (Some(429), error("Your prepayment credits are depleted."), StopEndpoint),
        (Some(429), error("slow down"), PauseModel),
        (Some(429), error("limit of your organization reached"), PauseEndpoint),
        (Some(429), error("limit of big-1 in organization x reached"), PauseModel),
        (None, typed("rate_limit_error"), PauseModel),
        (Some(529), typed("overloaded_error"), PauseEndpoint),
        (None, typed("overloaded_error"), PauseEndpoint),
        (Some(500), error("no"), Call),
    ] {
        let error = ServerError::from_body(body.to_string().as_bytes());
        let found = error.effect(status, error.verdict(status), "acme/big-1");
        assert_eq!(found, effect, "{status:?} {body}");
    }
}

#[test]
fn mistakes_of_the_model_may_be_retried() {
    for error in [
        json!({"message": "no", "code": "tool_use_failed"}),
        json!({"message": "no", "code": "json_validate_failed"}),
        json!({"message": "no", "code": "output_parse_failed"}),
        json!({"message": "no", "type": "invalid_request_error", "failed_generation": "{"}),
    ] {
        let error = ServerError::from_body(json!({"error": error}).to_string().as_bytes());
        for status in [Some(400), Some(422), None] {
            let found = error.verdict(status);
            assert_eq!(found, verdict(ErrorKind::InvalidResponse, true), "{error:?}");
            assert_eq!(error.quirks(found), Quirks::default());
        }
    }
}

#[test]
fn the_cause_behind_a_gateway_is_shown_and_judged() {
    let raw = json!({"error": {"message": "too long", "code": "context_length_exceeded"}});
    let metadata = |raw: Value| json!({"metadata": {"raw": raw, "provider_name": "Up"}});
    for (mut error, message) in [
        (metadata(raw.to_string().into()), "Provider returned error: too long (Up)"),
        (metadata(raw.clone()), "Provider returned error: too long (Up)"),
        (
            json!({"innererror": {"message": "too long", "code": "context_window"}}),
            "Provider returned error: too long",
        ),
        (metadata("plain words".into()), "Provider returned error: plain words (Up)"),
        (metadata(Value::Null), "Provider returned error"),
        (metadata("Provider returned error".into()), "Provider returned error"),
    ] {
        error["message"] = "Provider returned error".into();
        let found = ServerError::from_body(json!({"error": error}).to_string().as_bytes());
        assert_eq!(found.message.as_deref(), Some(message));
        let is_long = message.contains("too long");
        assert_eq!(found.verdict(Some(400)).kind == ErrorKind::ContextLength, is_long);
    }
    // However deep causes are nested, reading them ends.
    let nested = (0..12).fold(
        Value::from("x"),
        |raw, _| json!({"error": {"message": "m", "metadata": {"raw": raw.to_string()}}}),
    );
    assert!(ServerError::from_body(nested.to_string().as_bytes()).message.is_some());
}

#[test]
fn a_wait_that_only_the_message_states() {
    for body in [
        json!({"error": {"message": "Please try again in 3.2s.", "code": "rate_limit"}})
            .to_string(),
        json!({"message": "Rate limited. Retry after 3.2 seconds"}).to_string(),
        "too many requests: please wait 3200 ms".to_owned(),
    ] {
        let error = ServerError::from_body(body.as_bytes());
        assert_eq!(error.retry_after, Some(Duration::from_millis(3200)), "{body}");
    }
}

#[test]
fn the_parameter_of_a_rejection_reveals_a_quirk() {
    let body = json!({"error": {"message": "unsupported value", "param": "temperature"}});
    let error = ServerError::from_body(body.to_string().as_bytes());
    let found = error.quirks(error.verdict(Some(400))).rejected;
    assert_eq!(found, RejectedSettings::in_words("temperature"));
    assert_ne!(found, RejectedSettings::default());
}
