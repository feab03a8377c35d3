//! The thread that alone writes to stderr.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::sync::PoisonError;
use std::time::Duration;

use super::asking::Asking;
use super::drawing::Drawing;
use super::prompt::Prompt;
use super::shared::{Order, Shared, State, write_chunks, write_frame};
use crate::signal::was_continued;

/// How long a line waits for others, so that the events of a thousand agents do not wake the thread
/// a thousand times.
const GATHER: Duration = Duration::from_millis(5);
/// Between two frames.
const FRAME: Duration = Duration::from_millis(100);
/// The same of a crew with more than [`MANY`] agents, whose frames take longer to make.
const SLOW_FRAME: Duration = Duration::from_millis(200);
const MANY: usize = 100;

#[derive(Debug)]
pub enum Show {
    Nothing,
    Lines,
    Drawn(Drawing),
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
    terminal: Option<File>,
) {
    let mut gone = false;
    let mut asking = Asking::new(terminal);
    loop {
        if let Show::Drawn(drawing) = &show {
            gone = gone || asking.follow(drawing, shared, &mut out).is_err();
        }
        let size = match (&show, asking.room()) {
            (_, Some(room)) => Some(room),
            (Show::Drawn(drawing), None) => Some(drawing.size()),
            (Show::Nothing | Show::Lines, None) => None,
        };
        let work = next(shared, size, asking.is_pinned());
        if let Show::Drawn(drawing) = &mut show
            && was_continued()
        {
            drawing.forget();
            asking.forget();
        }
        let has_text = !work.lines.is_empty() || !work.prompts.is_empty();
        if let Show::Drawn(drawing) = &mut show {
            // The person who answers a question sees what is typed.
            drawing.hide_typing(work.frame.is_some() && !work.asking);
            if has_text && !asking.is_pinned() {
                // The text stays on the screen, above the next frame.
                gone = gone || write_frame(shared, &mut out, &drawing.clear()).is_err();
            }
        }
        for prompt in work.prompts {
            let drawing = if let Show::Drawn(drawing) = &show { Some(drawing) } else { None };
            // Also without stderr: the question is on the terminal.
            gone |= asking.write(prompt, drawing, shared, &mut out).is_err();
        }
        // Once stderr is closed, lines are not tried again.
        gone = gone || write_lines(shared, &mut out, &work.lines, work.dropped).is_err();
        if let (Show::Drawn(drawing), Some(frame)) = (&mut show, work.frame) {
            let text = match asking.redraw(&frame, drawing.size()) {
                Some(text) => text,
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

fn write_lines(shared: &Shared, out: &mut impl Write, lines: &str, dropped: u64) -> io::Result<()> {
    write_chunks(shared, out, lines.as_bytes())?;
    if dropped > 0 {
        let note = format!("({dropped} lines dropped: stderr is too slow)\n");
        write_chunks(shared, out, note.as_bytes())?;
    }
    Ok(())
}
