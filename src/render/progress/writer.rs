//! The thread that alone writes to stderr, and the state it shares with the rest of crew.
//!
//! A lock and two conditions instead of a channel: the order to end must arrive however many lines
//! are queued, and the state of the agents must not depend on how much of it was written. The lock
//! is never held during a write.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::board::Board;
use super::drawing::Drawing;
use super::frame::frame;
use super::options::Options;
use super::pinned::{Pinned, is_line_typed};
use super::prompt::{Prompt, PromptKind};

/// Bytes of queued lines. Further lines are dropped and counted.
const MAX_QUEUED: usize = 256 * 1024;
/// How long a line waits for others, so that the events of a thousand agents do not wake the thread
/// a thousand times.
const GATHER: Duration = Duration::from_millis(5);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// The same of a crew with more than [`MANY`] agents, whose frames take longer to make.
const SLOW_FRAME: Duration = Duration::from_millis(200);
const MANY: usize = 100;
/// How long one write may take before crew stops waiting for stderr.
const MAX_WRITE: Duration = Duration::from_millis(200);
/// How long all writes may take together, however steadily the reader reads.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Bytes of one write, in whole lines where they fit. The smaller it is, the sooner crew sees that
/// a slow reader still reads.
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
    options: Options,
    /// There is work for the writer.
    wake: Condvar,
    /// The writer has made progress.
    done: Condvar,
}

#[derive(Debug)]
struct State {
    board: Board,
    /// Whole lines.
    lines: String,
    dropped: u64,
    /// A question is open: no lines are shown.
    asking: bool,
    prompts: VecDeque<Prompt>,
    order: Order,
    cleared: bool,
    /// Whether everything was written, once the thread has ended.
    ended: Option<bool>,
    /// When the current write began.
    writing_since: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
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

    fn lock(&self) -> MutexGuard<'_, State> {
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

    fn frame(&self, board: &Board, size: (usize, usize)) -> Vec<String> {
        let lines = frame(board, Instant::now(), size, self.options.colour);
        let reader = self.options.reader;
        lines.iter().map(|line| reader.adapt(line).into_owned()).collect()
    }

    /// Queues a prompt, which is written before all lines.
    pub fn prompt(&self, prompt: Prompt) {
        let mut state = self.lock();
        state.asking = !matches!(prompt.kind, PromptKind::Close);
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
    fn writing<T>(&self, write: impl FnOnce() -> T) -> T {
        self.change(|state| state.writing_since = Some(Instant::now()));
        let written = write();
        self.change(|state| state.writing_since = None);
        written
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.done.notify_all();
    }
}

/// The work of one round.
struct Work {
    prompts: VecDeque<Prompt>,
    lines: String,
    dropped: u64,
    frame: Option<Vec<String>>,
    asking: bool,
    order: Order,
}

/// Writes until the order to end. Prompts go to `terminal`.
pub fn run(
    shared: &Shared,
    mut show: Show,
    mut out: Box<dyn Write + Send>,
    mut terminal: Option<File>,
) {
    let mut gone = false;
    let mut pinned = None;
    loop {
        let size = match (&show, &pinned) {
            (_, Some(pinned)) => Some(Pinned::room(pinned)),
            (Show::Drawn(drawing), None) => Some(drawing.size()),
            (Show::Nothing | Show::Lines, None) => None,
        };
        let work = next(shared, size, pinned.is_some());
        let has_text = !work.lines.is_empty() || !work.prompts.is_empty();
        if let Show::Drawn(drawing) = &mut show {
            // The person who answers a question sees what is typed.
            drawing.hide_typing(work.frame.is_some() && !work.asking);
            if has_text && pinned.is_none() {
                // The text stays on the screen, above the next frame.
                gone = gone || write_frame(shared, &mut out, &drawing.clear()).is_err();
            }
        }
        for prompt in work.prompts {
            let drawing = if let Show::Drawn(drawing) = &show { Some(drawing) } else { None };
            let mut writer = Asking { shared, drawing, pinned: &mut pinned };
            gone = gone || writer.write(prompt, &mut out, &mut terminal).is_err();
        }
        // Once stderr is closed, lines are not tried again.
        gone = gone || write_lines(shared, &mut out, &work.lines, work.dropped).is_err();
        if let (Show::Drawn(drawing), Some(frame)) = (&mut show, work.frame) {
            pinned = pinned.filter(|pinned| pinned.holds(drawing.size()));
            let text = match &pinned {
                Some(_) if is_line_typed() => String::new(),
                Some(pinned) => pinned.redraw(&frame),
                None if work.asking => String::new(),
                None => drawing.draw(frame),
            };
            gone = gone || write_frame(shared, &mut out, &text).is_err();
        }
        if work.order == Order::Show {
            continue;
        }
        if let Show::Drawn(drawing) = &mut show {
            gone = gone || write_frame(shared, &mut out, &drawing.clear()).is_err();
        }
        shared.change(|state| state.cleared = true);
        if let Order::End(last) = work.order {
            let all = write_chunks(shared, &mut out, &last).is_ok();
            return shared.change(|state| state.ended = Some(all));
        }
    }
}

/// Waits for work; with a terminal of `size` to draw on, at most until the next frame. `is_pinned`:
/// there is a frame above the open question, if one is open.
fn next(shared: &Shared, size: Option<(usize, usize)>, is_pinned: bool) -> Work {
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
        Some(_) if state.order == Order::Show && (is_pinned || !state.asking) => {
            let is_slow = is_pinned || state.board.agents.len() > MANY;
            let pause = if is_slow { SLOW_FRAME } else { FRAME };
            let waited = shared.wake.wait_timeout_while(state, pause, idle);
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
    let asking = state.asking && order == Order::Show;
    let frame = match (size, &order) {
        (Some(size), Order::Show) if is_pinned || !asking => Some(shared.frame(&state.board, size)),
        _ => None,
    };
    if asking {
        return Work { prompts, lines: String::new(), dropped: 0, frame, asking, order };
    }
    let dropped = mem::take(&mut state.dropped);
    Work { prompts, lines: mem::take(&mut state.lines), dropped, frame, asking, order }
}

/// In one write, so that no half of it is seen.
fn write_frame(shared: &Shared, out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    shared.writing(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn write_lines(shared: &Shared, out: &mut impl Write, lines: &str, dropped: u64) -> io::Result<()> {
    write_chunks(shared, out, lines.as_bytes())?;
    if dropped > 0 {
        let note = format!("({dropped} lines dropped: stderr is too slow)\n");
        write_chunks(shared, out, note.as_bytes())?;
    }
    Ok(())
}

/// Writes prompts to the terminal, and the frame above them.
struct Asking<'a> {
    shared: &'a Shared,
    drawing: Option<&'a Drawing>,
    pinned: &'a mut Option<Pinned>,
}

impl Asking<'_> {
    /// If the prompt cannot be shown, the drop of its sender signals that.
    ///
    /// # Errors
    /// stderr does not take the frame.
    fn write(
        &mut self,
        prompt: Prompt,
        out: &mut impl Write,
        terminal: &mut Option<File>,
    ) -> io::Result<()> {
        let Some(terminal) = terminal else { return Ok(()) };
        let Prompt { text, kind } = prompt;
        if let PromptKind::Open(_) = kind {
            *self.pinned = self.drawing.and_then(|drawing| drawing.pinned(&text));
            self.open(out)?;
        }
        let written = write_chunks(self.shared, terminal, text.as_bytes());
        match kind {
            PromptKind::Open(shown) if written.is_ok() => {
                let _ = shown.send(());
            }
            PromptKind::Open(_) => {}
            PromptKind::More => {
                let size = self.drawing.map(Drawing::size).unwrap_or_default();
                if !self.pinned.as_mut().is_some_and(|pinned| pinned.grow(&text, size)) {
                    *self.pinned = None;
                }
            }
            PromptKind::Close => return self.close(&text, out),
        }
        Ok(())
    }

    fn open(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Some(pinned) = self.pinned else { return Ok(()) };
        let frame = self.shared.frame(&self.shared.lock().board, pinned.room());
        write_frame(self.shared, out, &pinned.open(&frame))
    }

    fn close(&mut self, last: &str, out: &mut impl Write) -> io::Result<()> {
        let size = self.drawing.map(Drawing::size).unwrap_or_default();
        match self.pinned.take().filter(|pinned| pinned.holds(size)) {
            Some(pinned) => write_frame(self.shared, out, &pinned.remove(last)),
            None => Ok(()),
        }
    }
}

fn write_chunks(shared: &Shared, out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let max = bytes.len().min(CHUNK);
        let end = bytes[..max].iter().rposition(|byte| *byte == b'\n').map_or(max, |at| at + 1);
        let (chunk, rest) = bytes.split_at(end);
        shared.writing(|| out.write_all(chunk).and_then(|()| out.flush()))?;
        bytes = rest;
    }
    Ok(())
}
