//! Notices when crew itself did not run: SIGSTOP, a machine that slept.

use parking_lot::Mutex;
use tokio::time::{Duration, Instant};

/// How often a batch beats at least.
pub const BEAT: Duration = Duration::from_millis(250);
/// A pause between two beats that only a crew that did not run makes.
const GAP: Duration = Duration::from_secs(1);

/// The beats of a batch.
#[derive(Debug)]
pub struct Pulse(Mutex<Beats>);

#[derive(Debug)]
struct Beats {
    last: Instant,
    gaps: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(Beats { last: Instant::now(), gaps: 0 }))
    }
}

impl Pulse {
    pub fn beat(&self) {
        self.gaps();
    }

    /// How often crew has been suspended. It also beats: what ends at once after a suspension may
    /// come before the next beat.
    pub fn gaps(&self) -> u64 {
        let (mut beats, now) = (self.0.lock(), Instant::now());
        beats.gaps += u64::from(now.duration_since(beats.last) > GAP);
        beats.last = now;
        beats.gaps
    }
}
