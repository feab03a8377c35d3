//! How long a server asks to wait: `retry-after`, when its rate limits reset, or what its message
//! states.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;

use crate::vendor;

/// The longest wait that is believed. It also keeps sums with it in range.
pub const MAX_WAIT: Duration = Duration::from_secs(3600);

/// Numbers from here on count the seconds since 1970, not those to wait.
const MIN_UNIX_SECONDS: f64 = 1e9;
/// And from here on the milliseconds.
const MIN_UNIX_MILLISECONDS: f64 = 1e12;

/// Reads `retry-after-ms`, or `retry-after` as seconds or a date.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let date = |text: &str| Some(until(DateTimeParser::new().parse_timestamp(text).ok()?, now));
    let milliseconds = text(headers, "retry-after-ms").and_then(seconds);
    let wait = milliseconds.map(|wait| wait / 1000).or_else(|| {
        text(headers, "retry-after").and_then(|text| seconds(text).or_else(|| date(text)))
    })?;
    Some(wait.min(MAX_WAIT))
}

/// The wait until everything that is used up has been reset. If nothing is, the call was too large
/// for the rest of some limit: then until the first reset.
pub fn rate_limit_reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let (mut used_up, mut first) = (None, None);
    for (reset, remaining) in vendor::reset_headers() {
        let Some(wait) = text(headers, reset).and_then(|text| reset_in(text, now)) else {
            continue;
        };
        if text(headers, remaining).and_then(|left| left.parse().ok()) == Some(0_u64) {
            used_up = used_up.max(Some(wait));
        }
        first = Some(first.map_or(wait, |first: Duration| first.min(wait)));
    }
    used_up.or(first).map(|wait| wait.min(MAX_WAIT))
}

/// Whether the headers say that the limit is one of the account, the key or the address, and so
/// holds for all models. `x-ratelimit-type` is GitHub's, such as `UserConcurrentRequests`, whose
/// limits of a model are named `UserByModelByMinute`.
pub fn names_account(headers: &HeaderMap) -> bool {
    let scope = ["x-ratelimit-scope", "ratelimit-scope", "x-ratelimit-type"];
    let scope = scope.iter().find_map(|name| text(headers, name)).unwrap_or_default();
    let scope = scope.to_ascii_lowercase();
    let is_global = text(headers, "x-ratelimit-global") == Some("true");
    let names = ["account", "organization", "workspace", "project", "user", "key", "ip", "global"];
    is_global || (!scope.contains("model") && names.iter().any(|name| scope.contains(name)))
}

/// The wait that a text states, as in `Please try again in 1m3.5s` or `retry after 20 seconds`.
pub fn stated_wait(text: &str) -> Option<Duration> {
    const PHRASES: [&str; 8] = [
        "try again in",
        "try again after",
        "retry in",
        "retry after",
        "retrying in",
        "retrying after",
        "resets in",
        "wait",
    ];
    let text = text.to_ascii_lowercase();
    let after = |phrase: &&str| text.split_once(*phrase).map(|(_, rest)| rest);
    PHRASES.iter().filter_map(after).find_map(leading_duration).map(|wait| wait.min(MAX_WAIT))
}

/// A duration within the first words of a text: `1m3.5s`, `20 seconds`, `about 2 minutes`.
fn leading_duration(text: &str) -> Option<Duration> {
    const MAX_WORDS_BEFORE: usize = 12;
    let start = text.find(|c: char| c.is_ascii_digit()).filter(|at| *at <= MAX_WORDS_BEFORE)?;
    let mut rest = &text[start..];
    let mut wait = None;
    while rest.starts_with(|c: char| c.is_ascii_digit()) {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, unit) = rest.split_at(end);
        let unit = unit.trim_start();
        let end = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
        let seconds_each = match &unit[..end] {
            "ms" | "millisecond" | "milliseconds" => 0.001,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            _ => break,
        };
        let number: f64 = number.trim_end_matches('.').parse().ok()?;
        let part = Duration::try_from_secs_f64(number * seconds_each).unwrap_or(MAX_WAIT);
        wait = Some(wait.unwrap_or(Duration::ZERO).saturating_add(part));
        rest = unit[end..].trim_start();
    }
    wait
}

/// A number of seconds that is not negative. One too large for a duration is [`Duration::MAX`].
pub fn seconds(text: &str) -> Option<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.0)?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Reads `1s`, `6m0s` or `20ms`; a time as RFC 3339; seconds; or the time since 1970.
pub fn reset_in(text: &str, now: Timestamp) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(number) if number >= MIN_UNIX_SECONDS => {
            let unit = if number < MIN_UNIX_MILLISECONDS { 1000.0 } else { 1.0 };
            Some(until(Timestamp::from_millisecond((number * unit) as i64).ok()?, now))
        }
        Ok(_) => seconds(text),
        Err(_) => match text.parse::<Timestamp>() {
            Ok(time) => Some(until(time, now)),
            Err(_) => text.parse::<SignedDuration>().ok()?.try_into().ok(),
        },
    }
}

/// Zero if the time has passed.
fn until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(time.duration_since(now)).unwrap_or_default()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn found(headers: &[(&'static str, &'static str)]) -> Option<u128> {
        let now = "2026-11-23T07:00:00Z".parse().unwrap_or_default();
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        rate_limit_reset(&headers.collect(), now).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_form_of_a_reset_time() {
        for (text, ms) in [
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("20ms", Some(20)),
            ("1h2m3.5s", Some(3_600_000)),
            ("7.66s", Some(7660)),
            ("30", Some(30_000)),
            ("2026-11-23T07:00:05Z", Some(5000)),
            ("2026-11-23T06:00:05Z", Some(0)),
            ("1795417210", Some(10_000)),
            ("1795417210000", Some(10_000)),
            ("1e300", None),
            ("NaN", None),
            ("-1", None),
            ("-1s", None),
            ("soon", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(found(&[("x-ratelimit-reset-tokens", text)]), ms, "{text}");
        }
    }

    #[test]
    fn every_form_of_a_stated_wait() {
        for (text, ms) in [
            ("Rate limit reached for m on TPM. Please try again in 3.2s.", Some(3200)),
            ("Please try again in 460ms. Visit https://x/y", Some(460)),
            ("Please try again in 1m2.5s.", Some(62_500)),
            ("Please retry in 34.074824224s.", Some(34_074)),
            ("Please retry after 2 seconds.", Some(2000)),
            ("Please wait 20 seconds before retrying.", Some(20_000)),
            ("Try again after about 2 minutes", Some(120_000)),
            ("try again in 7 hours", Some(3_600_000)),
            ("Limit 90 per 60s exceeded", None),
            ("try again in a moment, within the limit of 3 s", None),
            ("please try again in 5 model updates", None),
            ("try again later", None),
            ("retry in 1e999s", None),
            ("retry in 9999999999999999999999s", Some(3_600_000)),
            ("", None),
        ] {
            let wait = stated_wait(text).map(|wait| wait.as_millis());
            assert_eq!(wait, ms, "{text}");
        }
    }

    #[test]
    fn headers_name_the_scope_of_a_limit() {
        for (name, value, of_account) in [
            ("x-ratelimit-type", "UserConcurrentRequests", true),
            ("x-ratelimit-type", "UserByModelByMinute", false),
            ("x-ratelimit-scope", "organization", true),
            ("x-ratelimit-global", "true", true),
            ("x-ratelimit-reset", "key", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(names_account(&headers), of_account, "{name}: {value}");
        }
    }

    #[test]
    fn the_limit_that_is_used_up_decides() {
        let requests = ("x-ratelimit-reset-requests", "1s");
        let tokens = ("x-ratelimit-reset-tokens", "6s");
        let left = ("x-ratelimit-remaining-requests", "3");
        let none_left = ("x-ratelimit-remaining-tokens", "0");
        assert_eq!(found(&[]), None);
        assert_eq!(found(&[requests, tokens]), Some(1000));
        assert_eq!(found(&[requests, tokens, left, none_left]), Some(6000));
        assert_eq!(
            found(&[("anthropic-ratelimit-requests-reset", "2026-11-23T07:00:01Z")]),
            Some(1000)
        );
    }

    #[test]
    fn every_form_of_retry_after() {
        let now: Timestamp = "2015-10-21T07:28:00Z".parse().unwrap_or_default();
        for (name, value, wait) in [
            ("retry-after", "2", Some(2000)),
            ("retry-after", "0.25", Some(250)),
            ("retry-after", " 0 ", Some(0)),
            ("retry-after-ms", "1500", Some(1500)),
            ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT", Some(30_000)),
            ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("retry-after", "1e300", Some(3_600_000)),
            ("retry-after", "inf", Some(3_600_000)),
            ("retry-after", "-1", None),
            ("retry-after", "NaN", None),
            ("retry-after", "soon", None),
            ("x-other", "2", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(
                retry_after(&headers, now),
                wait.map(Duration::from_millis),
                "{name}: {value}"
            );
        }
    }
}
