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
