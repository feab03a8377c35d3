//! Durations and sizes are within their bounds, and survive a round trip.

use std::time::Duration;

use crate::render::words;
use crate::units;

const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3600);

/// Any text is a duration or a size within the bounds, or an error.
pub fn text(text: &str) {
    if let Ok(duration) = units::duration(text) {
        assert!(duration <= MAX_DURATION);
        assert_eq!(units::timeout(text).ok(), Some(duration).filter(|d| !d.is_zero()));
        // crew shows durations in short form, never rounded up.
        let shown = units::duration(&words::limit(duration)).expect("crew wrote it");
        assert!(shown <= duration, "{text:?}: {shown:?} of {duration:?}");
        assert!(duration - shown <= duration / 10 + Duration::from_millis(1), "{text:?}");
    }
    for (min, max) in [(0, usize::MAX), (1 << 10, 64 << 20)] {
        if let Ok(bytes) = units::size(text, min, max) {
            assert!((min..=max).contains(&bytes));
            assert_eq!(units::size(&bytes.to_string(), min, max), Ok(bytes));
        }
    }
}

/// A number with each unit is parsed as that number.
pub fn number(number: u32) {
    let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)];
    for (unit, millis) in units {
        let duration = Duration::from_millis(u64::from(number) * millis);
        let found = units::duration(&format!("{number}{unit}"));
        assert_eq!(found.ok(), Some(duration).filter(|duration| *duration <= MAX_DURATION));
    }
    for (unit, factor) in [("", 1), ("kB", 1000), ("KiB", 1 << 10), ("MiB", 1 << 20)] {
        let found = units::size(&format!("{number}{unit}"), 0, usize::MAX);
        assert_eq!(found, Ok((number as usize).saturating_mul(factor)));
    }
}
