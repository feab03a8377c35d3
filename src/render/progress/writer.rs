//! The one thread that writes to stderr, and what it shares with the rest of crew.
//!
//! A lock and two conditions rather than a channel: an order to end must get through however many
//! lines are queued, and the state of the agents must not depend on what was written of it. The
//! lock is never held while anything is written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::board::Board;
use super::drawing::Drawing;
use super::frame::frame;

/// Bytes of lines that wait to be written; what goes over is counted.
const MOST_WAITING: usize = 256 * 1024;
/// How long a line may wait for others, so that the changes of a thousand agents do not wake the
/// thread a thousand times.
const GATHER: Duration = Duration::from_millis(5);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// How long one write may take before stderr is given up on.
const PATIENCE: Duration = Duration::from_millis(200);
/// How long it may take in all, however steadily it drips.
const LONGEST: Duration = Duration::from_secs(5);
/// Bytes written at once, in whole lines if they fit: the smaller, the sooner it is seen that a slow reader still reads.
const CHUNK: usize = 1024;

#[derive(Debug)]
pub enum Show {
    Nothing,
    Lines,
    Drawn(Drawing),
}

#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    colour: bool,
    /// Something for the writer to do.
    wake: Condvar,
    /// The writer got something done.
    done: Condvar,
}

#[derive(Debug)]
struct State {
    board: Board,
    /// Whole lines.
    lines: String,
    left_out: u64,
    /// Nothing else is shown while the answer to a question is awaited.
    asking: bool,
    prompts: VecDeque<Prompt>,
    order: Order,
    cleared: bool,
    /// `Some(true)`: all of it was written.
    ended: Option<bool>,
    /// When the write that is under way began.
    writing_since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
    Show,
    Clear,
    End(Vec<u8>),
}

impl Shared {
    pub fn new(board: Board, colour: bool) -> Self {
        let state = State {
            board,
            lines: String::new(),
            left_out: 0,
            asking: false,
            prompts: VecDeque::new(),
            order: Order::Show,
            cleared: false,
            ended: None,
            writing_since: None,
        };
        Self { state: Mutex::new(state), colour, wake: Condvar::new(), done: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked has left a board that is at worst out of date.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `change` bring the board up to date; the line it may yield is queued.
    pub fn update(&self, change: impl FnOnce(&mut Board) -> Option<String>) {
        let mut state = self.lock();
        if state.order != Order::Show {
            return;
        }
        let Some(line) = change(&mut state.board) else { return };
        if state.lines.len() + line.len() >= MOST_WAITING {
            state.left_out += 1;
            return;
        }
        // The writer takes all there is: if there are any, it has been woken for them.
        if state.lines.is_empty() {
            self.wake.notify_one();
        }
        state.lines.push_str(&line);
        state.lines.push('\n');
    }

    /// Queues what belongs to a question, which goes before all lines.
    pub fn prompt(&self, prompt: Prompt, asking: bool) {
        let mut state = self.lock();
        state.asking = asking;
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

    /// Until `reached` knows the outcome, or stderr turns out to be stuck. A writer that is not
    /// writing is only short of processor time.
    fn wait(&self, reached: impl Fn(&State) -> Option<bool>) -> bool {
        let start = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(outcome) = reached(&state) {
                return outcome;
            }
            let longest = start + LONGEST;
            let deadline =
                state.writing_since.map_or(longest, |since| longest.min(since + PATIENCE));
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.done.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Every write goes through here, so that one that does not end is noticed.
    fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.tell(|state| state.writing_since = Some(Instant::now()));
        let written = write();
        self.tell(|state| state.writing_since = None);
        written
    }

    fn tell(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.done.notify_all();
    }
}

/// What is written where questions are asked.
#[derive(Debug)]
pub struct Prompt {
    pub text: String,
    /// Is told that it can be read.
    pub shown: Option<oneshot::Sender<()>>,
}

/// What there is to do.
struct Work {
    prompts: VecDeque<Prompt>,
    lines: String,
    left_out: u64,
    frame: Option<Vec<String>>,
    order: Order,
}

/// Until the order to end. Questions go to `terminal`.
pub fn run(
    shared: &Shared,
    mut show: Show,
    mut out: Box<dyn Write + Send>,
    mut terminal: Option<File>,
) {
    let mut gone = false;
    loop {
        let size = match &show {
            Show::Drawn(drawing) => Some(drawing.size()),
            Show::Nothing | Show::Lines => None,
        };
        let work = next(shared, size);
        let stays = !work.lines.is_empty() || !work.prompts.is_empty();
        if let (Show::Drawn(drawing), true) = (&mut show, stays) {
            // It is above what is drawn next.
            shared.writing(|| drawing.clear());
        }
        work.prompts.into_iter().for_each(|prompt| write_prompt(shared, &mut terminal, prompt));
        // A stderr that is closed is not tried again for every line.
        gone = gone || write_lines(shared, &mut out, &work.lines, work.left_out).is_err();
        if let (Show::Drawn(drawing), Some(frame), Some(size)) = (&mut show, work.frame, size) {
            shared.writing(|| drawing.draw(frame, size));
        }
        if work.order == Order::Show {
            continue;
        }
        if let Show::Drawn(drawing) = &mut show {
            shared.writing(|| drawing.clear());
        }
        shared.tell(|state| state.cleared = true);
        if let Order::End(last) = work.order {
            let all = write_chunks(shared, &mut out, &last).is_ok();
            return shared.tell(|state| state.ended = Some(all));
        }
    }
}

/// Waits for something to do; with a terminal of `size` to draw on, that is the next frame.
fn next(shared: &Shared, size: Option<(usize, usize)>) -> Work {
    let idle = |state: &mut State| {
        let due = match &state.order {
            Order::Show => false,
            Order::Clear => !state.cleared,
            Order::End(_) => true,
        };
        !due && state.prompts.is_empty() && (state.asking || state.lines.is_empty())
    };
    let state = shared.lock();
    let mut state = match size {
        Some(_) if state.order == Order::Show => {
            let waited = shared.wake.wait_timeout_while(state, FRAME, idle);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
        _ => {
            let state = shared.wake.wait_while(state, idle);
            let state = state.unwrap_or_else(PoisonError::into_inner);
            let more = |state: &mut State| state.order == Order::Show;
            let waited = shared.wake.wait_timeout_while(state, GATHER, more);
            waited.unwrap_or_else(PoisonError::into_inner).0
        }
    };
    let order = match &mut state.order {
        Order::Show => Order::Show,
        Order::Clear => Order::Clear,
        Order::End(last) => Order::End(mem::take(last)),
    };
    let prompts = mem::take(&mut state.prompts);
    if state.asking && order == Order::Show {
        return Work { prompts, lines: String::new(), left_out: 0, frame: None, order };
    }
    let frame = match (size, &order) {
        (Some(size), Order::Show) => Some(frame(&state.board, Instant::now(), size, shared.colour)),
        _ => None,
    };
    let left_out = mem::take(&mut state.left_out);
    Work { prompts, lines: mem::take(&mut state.lines), left_out, frame, order }
}

fn write_lines(
    shared: &Shared,
    out: &mut impl Write,
    lines: &str,
    left_out: u64,
) -> io::Result<()> {
    write_chunks(shared, out, lines.as_bytes())?;
    if left_out > 0 {
        let note = format!("({left_out} lines left out: stderr is too slow)\n");
        write_chunks(shared, out, note.as_bytes())?;
    }
    Ok(())
}

/// Whoever waits for a question that cannot be shown learns it.
fn write_prompt(shared: &Shared, terminal: &mut Option<File>, prompt: Prompt) {
    let Some(terminal) = terminal else { return };
    let written = write_chunks(shared, terminal, prompt.text.as_bytes());
    if let (Ok(()), Some(shown)) = (written, prompt.shown) {
        let _ = shown.send(());
    }
}

fn write_chunks(shared: &Shared, out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let most = bytes.len().min(CHUNK);
        let end = bytes[..most].iter().rposition(|byte| *byte == b'\n').map_or(most, |at| at + 1);
        let (chunk, rest) = bytes.split_at(end);
        shared.writing(|| out.write_all(chunk).and_then(|()| out.flush()))?;
        bytes = rest;
    }
    Ok(())
}
