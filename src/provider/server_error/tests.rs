//! Errors of real servers and their meaning.

use super::*;

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
fn a_daily_quota_stops_one_model_or_the_whole_endpoint() {
    for (quotas, effect) in [
        (&["RequestsPerDayPerProjectPerModel-FreeTier"][..], Effect::Model),
        (&["RequestsPerDayPerProjectPerModel", "RequestsPerDayPerProject"], Effect::Endpoint),
        (&["RequestsPerMinutePerProjectPerModel"], Effect::Pause),
    ] {
        let violations: Vec<_> =
            quotas.iter().map(|quota| serde_json::json!({"quotaId": quota})).collect();
        let body = serde_json::json!({"error": {"details": [{"violations": violations}]}});
        let error = ServerError::from_body(body.to_string().as_bytes());
        assert_eq!(error.effect(Some(429), error.verdict(Some(429))), effect, "{quotas:?}");
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
