//! Writes events as they happen, for `-o jsonl`. A reader that stalls or goes away holds up the
//! thread that writes, and not the run.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::delivery::{Flow, Measured};
use crate::plan::CrewPlan;
use crate::render::EventLines;
use crate::report::{Event, EventSink};

/// Bytes that wait for a slow reader. Lines beyond that are left out, which `seq` shows.
const MAX_QUEUED: usize = 16 << 20;

#[derive(Debug)]
pub struct EventLog {
    lines: Arc<Mutex<EventLines>>,
    queue: Queue,
    ended: Receiver<()>,
    flow: Arc<Flow>,
}

#[derive(Debug, Clone)]
struct Queue {
    /// `None` ends the thread.
    lines: Sender<Option<Vec<u8>>>,
    /// Bytes.
    size: Arc<AtomicUsize>,
}

impl EventLog {
    /// With `messages`, also what agents and models send each other.
    ///
    /// # Errors
    /// The system denies a thread.
    pub fn start(plan: &CrewPlan, messages: bool, out: File) -> io::Result<Self> {
        let agents = plan.agents.iter().map(|agent| agent.name.clone()).collect();
        let (lines, first) = EventLines::new(&plan.name, agents, messages);
        let (sender, received) = channel();
        let (end, ended) = channel();
        let queue = Queue { lines: sender, size: Arc::default() };
        let flow = Arc::<Flow>::default();
        let (size, measured) = (Arc::clone(&queue.size), Arc::clone(&flow));
        thread::Builder::new().name("events".to_owned()).spawn(move || {
            write_all(&received, &size, out, measured);
            let _ = end.send(());
        })?;
        queue.push(first);
        Ok(Self { lines: Arc::new(Mutex::new(lines)), queue, ended, flow })
    }

    /// The sink that writes events and passes them on.
    pub fn sink(&self, next: EventSink) -> EventSink {
        let (lines, queue) = (Arc::clone(&self.lines), self.queue.clone());
        Arc::new(move |event: Event| {
            let line = lines.lock().unwrap_or_else(PoisonError::into_inner).line(&event);
            line.into_iter().for_each(|line| queue.push(line));
            next(event);
        })
    }

    /// What the reader takes.
    pub fn flow(&self) -> Arc<Flow> {
        Arc::clone(&self.flow)
    }

    /// Waits until the reader has all lines, or has gone.
    pub fn finish(self) {
        let _ = self.queue.lines.send(None);
        let _ = self.ended.recv();
    }
}

impl Queue {
    fn push(&self, line: Vec<u8>) {
        if self.size.load(Ordering::Relaxed) <= MAX_QUEUED {
            self.size.fetch_add(line.len(), Ordering::Relaxed);
            let _ = self.lines.send(Some(line));
        }
    }
}

fn write_all(
    lines: &Receiver<Option<Vec<u8>>>,
    size: &AtomicUsize,
    mut out: File,
    flow: Arc<Flow>,
) {
    let mut out = Measured::new(&mut out, flow);
    while let Ok(Some(line)) = lines.recv() {
        size.fetch_sub(line.len(), Ordering::Relaxed);
        // Without a reader, the report finds out why it cannot be written.
        if out.write_all(&line).is_err() {
            return;
        }
    }
}
