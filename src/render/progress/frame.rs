//! The board as lines to draw: one for each agent, or one bar if the terminal has too few lines.

use std::time::{Duration, Instant};

use anstyle::Style;

use super::board::{Agent, Board, Phase};
use crate::render::paint::{FAINT, GOOD, Line, PLAIN, STRONG, WARN};
use crate::render::{fit, words};

/// Lines of the terminal that keep their content.
const SPARE_LINES: usize = 2;
/// Nothing useful fits into a narrower terminal.
const MIN_WIDTH: usize = 8;
const MAX_NAME: usize = 24;
const TIME_WIDTH: usize = 6;
const BAR_WIDTH: usize = 20;

/// The lines, all narrower than `width`: a terminal would wrap at its last column.
pub fn frame(
    board: &Board,
    now: Instant,
    (width, height): (usize, usize),
    colour: bool,
) -> Vec<String> {
    if width < MIN_WIDTH || height == 0 {
        return vec![];
    }
    let new_line = || Line::new(width - 1, colour);
    let needed = board.agents.len() + usize::from(board.stopping.is_some());
    let mut lines: Vec<String> = if needed + SPARE_LINES <= height {
        let widest = board.agents.iter().map(|agent| fit::width(&agent.name)).max();
        let name_width = widest.unwrap_or(0).min(MAX_NAME).min(width / 3);
        board.agents.iter().map(|agent| agent_line(agent, now, name_width, new_line())).collect()
    } else {
        vec![bar(board, now, width, new_line())]
    };
    if let Some(stopping) = &board.stopping {
        let mut line = new_line();
        line.push(stopping, WARN);
        lines.push(line.finish());
    }
    lines
}

fn agent_line(agent: &Agent, now: Instant, name_width: usize, mut line: Line) -> String {
    let (state, style) = state(agent, now);
    let time = match (&agent.phase, agent.started) {
        (_, None) => String::new(),
        (Phase::Finished { took, .. }, _) => words::duration(*took),
        (_, Some(started)) => clock(now.saturating_duration_since(started)),
    };
    line.push(&fit::pad(&agent.name, name_width), STRONG)
        .push(&format!(" {time:>TIME_WIDTH$}  "), FAINT)
        .push(&state, style);
    if let Some(tokens) = words::tokens(&agent.usage) {
        line.push(&format!("  {tokens}"), FAINT);
    }
    line.finish()
}

fn state(agent: &Agent, now: Instant) -> (String, Style) {
    if let Some((first, others)) = agent.tools.split_first() {
        let more = match others.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        return (format!("running {}{more}", first.label), PLAIN);
    }
    match &agent.phase {
        Phase::Waiting => ("waiting".to_owned(), FAINT),
        Phase::Starting => ("starting".to_owned(), PLAIN),
        Phase::Calling { turn } => (format!("model call, turn {turn}"), PLAIN),
        Phase::Queued { reason } => (format!("queued ({reason})"), WARN),
        Phase::Retrying { until, error } => {
            // Rounded up: never 0s while it waits.
            let left = until.saturating_duration_since(now) + Duration::from_millis(999);
            (format!("retrying in {}: {error}", clock(left)), WARN)
        }
        Phase::Finished { status, .. } => {
            let text = format!("{} {}", words::mark(*status), words::status(status));
            (text, words::agent_style(*status))
        }
    }
}

/// `37/200 done, 160 running, 3 failed`, after a bar if it fits.
fn bar(board: &Board, now: Instant, width: usize, mut line: Line) -> String {
    let counts = board.counts();
    let all = board.agents.len();
    let done = counts.succeeded + counts.failed + counts.stopped;
    let mut text = format!("{done}/{all} done, {} running", counts.running);
    for (count, what) in
        [(counts.failed, "failed"), (counts.stopped, "stopped"), (counts.waiting, "waiting")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    if width >= 3 * BAR_WIDTH {
        let filled = (done * BAR_WIDTH).checked_div(all).unwrap_or(0);
        line.push(&"█".repeat(filled), GOOD)
            .push(&"░".repeat(BAR_WIDTH - filled), FAINT)
            .push(" ", PLAIN);
    }
    line.push(&text, PLAIN);
    if let Some(first) = board.agents.iter().filter_map(|agent| agent.started).min() {
        line.push(&format!("  {}", clock(now.saturating_duration_since(first))), FAINT);
    }
    line.finish()
}

/// Whole seconds, so that the line does not change faster than it can be read.
fn clock(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => words::millis(seconds.saturating_mul(1000)),
    }
}
