//! Sending the spans of a batch while it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::collector::{CollectorError, EXPORT_TIMEOUT};
use super::context::Trace;
use super::spans::{BatchSpan, RunPlace, of_batch, of_run};
use crate::report::Report;

/// Spans that wait for the collector. Those of further inputs are lost.
const MAX_WAITING: usize = 4096;
/// Spans in one request, unless an input has more.
const MAX_SENT: usize = 512;

/// Why spans of a batch were not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{lost} of {of} spans were not sent: {why}")]
pub struct NotSent {
    lost: usize,
    of: usize,
    why: CollectorError,
}

/// Takes the spans of the inputs of a batch and sends them in the background: no input waits for the
/// collector.
#[derive(Debug)]
pub struct SpanQueue {
    trace: Arc<Trace>,
    sender: UnboundedSender<Vec<Value>>,
    task: JoinHandle<()>,
    counts: Arc<Counts>,
}

/// Numbers of spans.
#[derive(Debug, Default)]
struct Counts {
    all: AtomicUsize,
    waiting: AtomicUsize,
    sent: AtomicUsize,
    /// The first reason why some were not sent.
    failure: Mutex<Option<CollectorError>>,
}

impl Counts {
    fn fail(&self, why: CollectorError) {
        self.failure.lock().get_or_insert(why);
    }
}

impl SpanQueue {
    /// Starts to send. `None` without a collector. Call it within a runtime.
    pub fn start(trace: &Arc<Trace>) -> Option<Self> {
        trace.collector.as_ref()?;
        let (sender, receiver) = unbounded_channel();
        let counts = Arc::<Counts>::default();
        let task = tokio::spawn(send_all(trace.clone(), receiver, counts.clone()));
        Some(Self { trace: trace.clone(), sender, task, counts })
    }

    /// Takes the spans of an input.
    pub fn add(&self, report: &Report) {
        let place = RunPlace::in_batch(&self.trace, &report.run_id);
        self.push(of_run(report, &self.trace, place));
    }

    fn push(&self, spans: Vec<Value>) {
        let counts = &self.counts;
        counts.all.fetch_add(spans.len(), Ordering::Relaxed);
        let waiting = counts.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + spans.len() > MAX_WAITING {
            return counts.fail(too_slow());
        }
        counts.waiting.fetch_add(spans.len(), Ordering::Relaxed);
        // Fails only if the task has panicked: then these are not sent.
        let _ = self.sender.send(spans);
    }

    /// Sends what is left, and the span of the batch itself. Takes 2 s at most.
    ///
    /// # Errors
    /// Spans were not sent.
    pub async fn finish(self, batch: &BatchSpan<'_>) -> Result<(), NotSent> {
        self.push(vec![of_batch(batch, &self.trace)]);
        let Self { sender, mut task, counts, .. } = self;
        drop(sender);
        if timeout(EXPORT_TIMEOUT, &mut task).await.is_err() {
            task.abort();
        }
        let [all, sent] = [&counts.all, &counts.sent].map(|count| count.load(Ordering::Relaxed));
        if sent == all {
            return Ok(());
        }
        let why = counts.failure.lock().take().unwrap_or_else(too_slow);
        Err(NotSent { lost: all - sent, of: all, why })
    }
}

fn too_slow() -> CollectorError {
    CollectorError::new("the collector is too slow")
}

/// Sends spans until there are no more, those that came meanwhile in one request.
async fn send_all(
    trace: Arc<Trace>,
    mut receiver: UnboundedReceiver<Vec<Value>>,
    counts: Arc<Counts>,
) {
    while let Some(mut spans) = receiver.recv().await {
        while spans.len() < MAX_SENT
            && let Ok(more) = receiver.try_recv()
        {
            spans.extend(more);
        }
        let count = spans.len();
        match trace.send(spans).await {
            Ok(()) => _ = counts.sent.fetch_add(count, Ordering::Relaxed),
            Err(error) => counts.fail(error),
        }
        counts.waiting.fetch_sub(count, Ordering::Relaxed);
    }
}
