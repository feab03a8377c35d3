//! Durations and sizes within bounds.

use std::time::Duration;

use jiff::SignedDuration;

const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Parses a time limit: more than 0, at most 30 days.
pub fn timeout(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a duration of more than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// Parses a duration such as `500ms`, `2s`, `1m30s` or `2h`, at most 30 days. It may be 0.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .trim()
        .parse()
        .map_err(|_| "expected a duration such as 500ms, 30s, 1m30s or 2h".to_owned())?;
    let duration =
        Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())?;
    if duration > MAX_DURATION {
        return Err("expected a duration of at most 30 days (720h)".to_owned());
    }
    Ok(duration)
}

/// Parses a number of bytes such as `65536`, `64KiB` or `1MB`, between two bounds.
pub fn size(text: &str, min: usize, max: usize) -> Result<usize, String> {
    let bytes =
        bytes(text).ok_or_else(|| "expected a size such as 65536, 64KiB or 1MB".to_owned())?;
    if !(min..=max).contains(&bytes) {
        return Err(format!("expected a size from {} to {}", show(min), show(max)));
    }
    Ok(bytes)
}

fn bytes(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: usize = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    // A number that overflows is out of bounds, like the largest number.
    let number = if number.is_empty() { None } else { Some(number.parse().unwrap_or(usize::MAX)) };
    number.map(|number| number.saturating_mul(unit))
}

fn show(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{}MiB", bytes >> 20) } else { format!("{}KiB", bytes >> 10) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("500ms", 500),
            ("2s", 2000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("720h", 2_592_000_000),
        ] {
            assert_eq!(timeout(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in
            ["", "0s", "-5s", "5s ago", "721h", "5", "5x", "99999999999999999999h", "s", "1d"]
        {
            assert!(timeout(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes() {
        let size = |text| size(text, 1 << 10, 64 << 20);
        for (text, bytes) in [
            ("1024", 1024),
            ("64KiB", 65_536),
            ("1MB", 1_000_000),
            ("1MiB", 1 << 20),
            ("2 kb", 2000),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1023", "65MiB", "1.5MiB", "-1", "1TB", "999999999999999999999999"]
        {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
