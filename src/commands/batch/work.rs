//! The work of a batch, from its first input to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;

use super::ended::Ended;
use super::estimate::estimate;
use super::progress::Progress;
use crate::batch::counting::Counting;
use crate::batch::feed::{Next, ReadProgress};
use crate::batch::folder::Folder;
use crate::batch::sink::Sink;
use crate::batch::stop::Watch;
use crate::batch::tally::Tally;
use crate::batch::window::{Jobs, Runner, Window};
use crate::cancel::Cancellation;
use crate::render::{Screens, batch as shown};
use crate::telemetry::{BatchSpan, NotSent, SpanQueue};

/// How long the reader of standard output may take for the last lines once crew is to stop.
const LAST_LINES: Duration = Duration::from_millis(200);

/// Everything that a batch needs and that is available before it starts.
pub struct Prepared {
    pub runner: Runner,
    /// `None`: the lines go to standard output.
    pub folder: Option<Folder>,
    pub counting: Option<Counting>,
    pub sink: Sink,
    pub inputs: Receiver<Next>,
    pub read: Arc<ReadProgress>,
    pub tally: Arc<Mutex<Tally>>,
    pub jobs: Jobs,
    pub watch: Watch,
    pub drain: Arc<Notify>,
    pub patience: Duration,
    /// The cost and time of the whole are estimated at the end.
    pub is_estimate: bool,
}

impl Prepared {
    /// Starts to show how far the batch is.
    pub fn progress(&self, screens: Screens) -> std::io::Result<Progress> {
        let read = self.read.clone();
        let found = self.folder.as_ref().map(|folder| folder.found.clone()).unwrap_or_default();
        let parts = self.folder.as_ref().map_or(1, |folder| u64::from(folder.part.of));
        Progress::start(self.tally.clone(), screens, move |tally, elapsed| {
            let get = |number: &std::sync::atomic::AtomicU64| number.load(Ordering::Relaxed);
            let (inputs, bytes) = (get(&read.inputs), get(&read.bytes));
            let unread = (bytes > 0 && read.size > 0).then(|| {
                let ahead = read.size.saturating_sub(bytes) as f64 / bytes as f64;
                (ahead * inputs as f64) as u64 / parts
            });
            let running = get(&read.chosen).saturating_sub(tally.done() + tally.cancelled);
            shown::Progress {
                tally,
                before: found.succeeded + found.failed,
                left: unread.map(|unread| unread + running),
                elapsed,
            }
        })
    }

    /// Runs the inputs.
    pub async fn run(self, cancel: Cancellation) -> Ended {
        let Self {
            runner,
            mut folder,
            counting,
            mut sink,
            inputs,
            tally,
            jobs,
            watch,
            drain,
            patience,
            is_estimate,
            ..
        } = self;
        let (services, plan) = (runner.services.clone(), runner.plan.clone());
        let (spans, started_at) = (runner.spans.clone(), Timestamp::now());
        let shared = tally.clone();
        let window =
            Window { runner, inputs, sink: &mut sink, tally, jobs, watch, drain, patience };
        let mut outcome = window.run().await;
        let cleanup = services.close().await;
        let untaken = match sink {
            Sink::File(_) => None,
            Sink::Stdout(stdout) => {
                let patience = outcome.stop.as_ref().map(|_| patience);
                stdout.finish(last_lines(patience, &cancel)).await.err()
            }
        };
        if let Some(untaken) = &untaken {
            let kept = outcome.kept.get_or_insert_default();
            untaken.lines.iter().for_each(|line| kept.add(line));
        }
        // Inputs that have been read to their end need not be counted.
        let is_read = outcome.totals.is_some_and(|totals| totals.is_all);
        let is_needed = is_estimate || outcome.stop.is_none() && !is_read;
        let is_waiting = async {
            if is_needed {
                cancel.cancelled().await;
            }
        };
        let counted = match counting {
            Some(counting) => counting.finish(is_waiting).await,
            None => None,
        };
        if let Some(folder) = &mut folder {
            folder.ended(counted, outcome.totals);
        }
        let estimate = match folder.as_ref().filter(|_| is_estimate) {
            Some(folder) => estimate(folder, jobs, &plan, &cancel).await,
            None => None,
        };
        let found = folder.map(|folder| folder.found).unwrap_or_default();
        let tally = *shared.lock();
        let spans = spans.and_then(Arc::into_inner);
        let unrecorded = services.recording.as_ref().and_then(|recording| recording.failure());
        let unsent = tokio::select! {
            biased;
            unsent = export(spans, &plan.name, started_at, &tally) => unsent,
            // Another signal: nothing waits for a collector then.
            () = cancel.killed() => None,
        };
        Ended { tally, found, outcome, cleanup, untaken, unrecorded, estimate, unsent }
    }
}

/// Completes when the reader of standard output has had its time for the last lines: without limit
/// unless the batch was stopped.
async fn last_lines(patience: Option<Duration>, cancel: &Cancellation) {
    let late = async {
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    let cancelled = async {
        cancel.cancelled().await;
        tokio::time::sleep(LAST_LINES).await;
    };
    tokio::select! {
        () = late => {}
        () = cancelled => {}
    }
}

/// Sends the last spans. Returns why some were not sent.
async fn export(
    spans: Option<SpanQueue>,
    crew: &str,
    started_at: Timestamp,
    tally: &Tally,
) -> Option<NotSent> {
    let duration_ms = Timestamp::now().duration_since(started_at).as_millis();
    let batch = BatchSpan {
        crew,
        started_at,
        duration_ms: duration_ms.try_into().unwrap_or_default(),
        succeeded: tally.succeeded,
        failed: tally.failed,
        cancelled: tally.cancelled,
    };
    spans?.finish(&batch).await.err()
}
