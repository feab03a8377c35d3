//! The state that the writer of stderr shares with the rest of crew.
//!
//! A lock and two conditions instead of a channel: the order to end must arrive however many lines
//! are queued, and the state of the agents must not depend on how much of it was written. The lock
//! is never held during a write.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::board::Board;
use super::frame::frame;
use super::options::Options;
use super::prompt::Prompt;

/// Bytes of queued lines. Further lines are dropped and counted.
const MAX_QUEUED: usize = 256 * 1024;
/// How long one write may take before crew stops waiting for stderr.
const MAX_WRITE: Duration = Duration::from_millis(200);
/// How long all writes may take together, however steadily the reader reads.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Bytes of one write, in whole lines where they fit. The smaller it is, the sooner crew sees that
/// a slow reader still reads.
const CHUNK: usize = 1024;

#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    options: Options,
    /// There is work for the writer.
    pub wake: Condvar,
    /// The writer has made progress.
    done: Condvar,
}

#[derive(Debug)]
pub struct State {
    pub board: Board,
    /// Whole lines.
    pub lines: String,
    pub dropped: u64,
    /// A question is open: no lines are shown.
    pub asking: bool,
    pub prompts: VecDeque<Prompt>,
    pub order: Order,
    pub cleared: bool,
    /// Whether everything was written, once the thread has ended.
    pub ended: Option<bool>,
    /// When the current write began.
    writing_since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Order {
    Show,
    Clear,
    End(Vec<u8>),
}

impl Shared {
    pub fn new(board: Board, options: Options) -> Self {
        let state = State {
            board,
            lines: String::new(),
            dropped: 0,
            asking: false,
            prompts: VecDeque::new(),
            order: Order::Show,
            cleared: false,
            ended: None,
            writing_since: None,
        };
        Self { state: Mutex::new(state), options, wake: Condvar::new(), done: Condvar::new() }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        // After a panic the board is at worst out of date.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Updates the board with `change` and queues the line that it returns.
    pub fn update(&self, change: impl FnOnce(&mut Board) -> Option<String>) {
        let mut state = self.lock();
        if state.order != Order::Show {
            return;
        }
        let Some(line) = change(&mut state.board) else { return };
        if state.lines.len() + line.len() >= MAX_QUEUED {
            state.dropped += 1;
            return;
        }
        // The writer takes all lines: if there are any, it is already awake.
        if state.lines.is_empty() {
            self.wake.notify_one();
        }
        state.lines.push_str(&self.options.reader.adapt(&line));
        state.lines.push('\n');
    }

    pub fn frame(&self, board: &Board, size: (usize, usize)) -> Vec<String> {
        let lines = frame(board, Instant::now(), size, self.options.colour);
        let reader = self.options.reader;
        lines.iter().map(|line| reader.adapt(line).into_owned()).collect()
    }

    /// Queues a prompt, which is written before all lines.
    pub fn prompt(&self, prompt: Prompt) {
        let mut state = self.lock();
        state.asking = !matches!(prompt, Prompt::Close(_));
        state.prompts.push_back(prompt);
        self.wake.notify_one();
    }

    pub fn clear(&self) {
        let mut state = self.lock();
        if state.order == Order::Show {
            state.order = Order::Clear;
            self.wake.notify_one();
        }
    }

    pub fn end(&self, last: Vec<u8>) {
        self.lock().order = Order::End(last);
        self.wake.notify_one();
    }

    pub fn wait_for_clear(&self) -> bool {
        self.wait(|state| state.cleared.then_some(true))
    }

    pub fn wait_for_end(&self) -> bool {
        self.wait(|state| state.ended)
    }

    /// Waits until `reached` returns the outcome, or stderr is stuck. A writer that is not writing
    /// only lacks processor time.
    fn wait(&self, reached: impl Fn(&State) -> Option<bool>) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(outcome) = reached(&state) {
                return outcome;
            }
            let last = start + MAX_WAIT;
            let deadline = state.writing_since.map_or(last, |since| last.min(since + MAX_WRITE));
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Does a write and records how long it takes, so that a stuck one is noticed.
    pub fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.change(|state| state.writing_since = Some(Instant::now()));
        let written = write();
        self.change(|state| state.writing_since = None);
        written
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.done.notify_all();
    }
}

/// Writes a frame, in one write, so that no half of it is seen.
///
/// # Errors
/// stderr does not take it.
pub fn write_frame(shared: &Shared, out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    shared.writing(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Writes a text in pieces.
///
/// # Errors
/// It is not taken.
pub fn write_chunks(shared: &Shared, out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let max = bytes.len().min(CHUNK);
        let end = bytes[..max].iter().rposition(|byte| *byte == b'\n').map_or(max, |at| at + 1);
        let (chunk, rest) = bytes.split_at(end);
        shared.writing(|| out.write_all(chunk).and_then(|()| out.flush()))?;
        bytes = rest;
    }
    Ok(())
}
