//! What asks a batch to stop: SIGUSR1, SIGUSR2, and the clock.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// Between two looks at the clock, which may jump.
const TICK: Duration = Duration::from_millis(500);

/// Notifies when the batch is to stop. Call it within a runtime.
///
/// # Errors
/// A handler cannot be installed.
pub fn listen(at: Option<Timestamp>) -> io::Result<Arc<Notify>> {
    let drain = Arc::new(Notify::new());
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
        let (mut signal, drain) = (signal(kind)?, drain.clone());
        tokio::spawn(async move {
            while signal.recv().await.is_some() {
                drain.notify_one();
            }
        });
    }
    if let Some(at) = at {
        let drain = drain.clone();
        tokio::spawn(async move {
            while Timestamp::now() < at {
                tokio::time::sleep(TICK).await;
            }
            drain.notify_one();
        });
    }
    Ok(drain)
}
