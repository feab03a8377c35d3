//! Shows how far a batch is: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::{Write, stderr};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::batch::tally::Tally;
use crate::render::Screens;
use crate::render::batch::{Progress as Shown, progress_bar, progress_line};

/// Between two lines.
const LINE_PERIOD: Duration = Duration::from_secs(10);
/// Between two drawings of the bar.
const BAR_PERIOD: Duration = Duration::from_millis(200);
/// How long a reader of stderr that has stopped reading may hold up the end.
const MAX_END: Duration = Duration::from_millis(300);
const ERASE: &[u8] = b"\r\x1b[K";

/// A thread that writes to stderr: its reader may be slow.
pub struct Progress {
    stop: Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Progress {
    /// `shown` gives the numbers without those of the tally and the time.
    pub fn start(
        tally: Arc<Mutex<Tally>>,
        screens: Screens,
        shown: impl Fn(Tally, Duration) -> Shown + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let began = Instant::now();
        let is_bar = screens.stderr.terminal;
        let period = if is_bar { BAR_PERIOD } else { LINE_PERIOD };
        thread::Builder::new().name("progress".to_owned()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(period) {
                let tally = *tally.lock();
                let shown = shown(tally, began.elapsed());
                let text = match is_bar {
                    true => format!("\r{}\x1b[K", progress_bar(&shown, screens.stderr.look(false))),
                    false => format!("{}\n", progress_line(&shown)),
                };
                let _ = stderr().write_all(text.as_bytes());
            }
            if is_bar {
                let _ = stderr().write_all(ERASE);
            }
            let _ = end.send(());
        })?;
        Ok(Self { stop, ended })
    }

    pub fn finish(self) {
        drop(self.stop);
        let _ = self.ended.recv_timeout(MAX_END);
    }
}
