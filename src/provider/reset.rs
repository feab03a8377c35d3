//! When a rate limit is lifted, from the headers that servers send with their answers: OpenAI's and
//! those of the many that follow it, and Anthropic's.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::HeaderMap;

use crate::vendor;

/// Longer than anybody would wait.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long until a refused call may be made: until everything that is used up has been reset. If
/// nothing is said to be used up, the call was too large for what is left of something: until the
/// first reset.
pub fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let (mut used_up, mut first) = (None, None);
    for (reset, remaining) in vendor::reset_headers() {
        let Some(wait) = text(reset).and_then(|text| until(text, now)) else { continue };
        if text(remaining).and_then(|left| left.parse().ok()) == Some(0_u64) {
            used_up = used_up.max(Some(wait));
        }
        first = Some(first.map_or(wait, |first: Duration| first.min(wait)));
    }
    used_up.or(first).map(|wait| wait.min(LONGEST))
}

/// `1s`, `6m0s`, `20ms`; a time as RFC 3339; seconds; or seconds or milliseconds since 1970.
fn until(text: &str, now: Timestamp) -> Option<Duration> {
    const SINCE_1970: f64 = 1e9;
    const IN_MILLISECONDS: f64 = 1e12;
    let since = |time: Timestamp| Duration::try_from(time.duration_since(now)).unwrap_or_default();
    match text.parse::<f64>() {
        Ok(number) if number < 0.0 || number.is_nan() => None,
        Ok(number) if number < SINCE_1970 => Duration::try_from_secs_f64(number).ok(),
        Ok(number) => {
            let unit = if number < IN_MILLISECONDS { 1000.0 } else { 1.0 };
            Timestamp::from_millisecond((number * unit) as i64).ok().map(since)
        }
        Err(_) => text.parse().ok().map(since).or_else(|| units(text)),
    }
}

/// Numbers, each with its unit.
fn units(text: &str) -> Option<Duration> {
    let mut seconds = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, after) = rest.split_at(unit);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = match unit {
            "d" => 86400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok().filter(|number| *number >= 0.0)? * unit;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
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
        wait(&headers.collect(), now).map(|wait| wait.as_millis())
    }

    #[test]
    fn every_form_of_a_time() {
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
    fn what_is_used_up_decides() {
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
}
