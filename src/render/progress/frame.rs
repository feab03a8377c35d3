//! The board as lines to draw: a header, a line for each agent or for those that matter most, and
//! the end of the answer if only one agent writes.

use std::time::{Duration, Instant};

use anstyle::Style;

use super::board::{Agent, Board, Counts, Phase};
use crate::render::paint::{BAD, FAINT, GOOD, Line, PLAIN, STRONG, WARN};
use crate::render::{fit, prose, words};
use crate::report::{AgentStatus, Usage};
use crate::text::inline;

/// Lines of the terminal that keep their content.
const SPARE_LINES: usize = 2;
/// Nothing useful fits into a narrower terminal.
const MIN_WIDTH: usize = 8;
const MAX_NAME: usize = 24;
const TIME_WIDTH: usize = 6;
const BAR_WIDTH: usize = 20;
/// Columns of a terminal with room for the whole bar.
const WIDE: usize = 100;
/// Agents that all get a line, if there is room.
const MAX_ROWS: usize = 15;
/// Lines of agents in a larger crew.
const FEW_ROWS: usize = 10;
/// Lines of the answer of the only agent that runs.
const MAX_ANSWER: usize = 12;
/// Fewer columns of an answer beside its agent say nothing.
const MIN_TAIL: usize = 12;
/// Between two images of the spinner.
const SPIN: u128 = 100;
const SPINNER: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];

/// What a frame shows and where.
struct Canvas<'a> {
    board: &'a Board,
    now: Instant,
    width: usize,
    colour: bool,
}

/// The lines, all narrower than `width`: a terminal would wrap at its last column.
pub fn frame(
    board: &Board,
    now: Instant,
    (width, height): (usize, usize),
    colour: bool,
) -> Vec<String> {
    if width < MIN_WIDTH || height == 0 || board.agents.is_empty() {
        return vec![];
    }
    let canvas = Canvas { board, now, width, colour };
    let mut lines = vec![canvas.header()];
    let stop = usize::from(board.stopping.is_some());
    let room = height.saturating_sub(SPARE_LINES + stop + 1);
    if board.total() <= room.min(MAX_ROWS) {
        lines.extend(canvas.all(room));
    } else if room > 1 {
        lines.extend(canvas.few(room));
    }
    if let Some(stopping) = &board.stopping {
        let mut line = canvas.line();
        line.push(stopping, WARN);
        lines.push(line.finish());
    }
    lines
}

impl Canvas<'_> {
    fn line(&self) -> Line {
        Line::new(self.width - 1, self.colour)
    }

    /// `it-support  0:03  2 of 7 done, 1 failed  812 in, 340 out  cost 0.0012`
    fn header(&self) -> String {
        let Board { agents, crew, started, .. } = self.board;
        let (counts, total) = (self.board.counts(), self.board.total());
        let mut line = self.line();
        line.push(crew, STRONG)
            .push(&format!("  {}", clock(self.now.saturating_duration_since(*started))), FAINT)
            .push("  ", PLAIN);
        if total > MAX_ROWS && self.width >= 4 * BAR_WIDTH {
            // Tokens and cost need the rest of the line.
            let columns = if self.width < WIDE { BAR_WIDTH / 2 } else { BAR_WIDTH };
            let part = |count: usize| (count * columns).div_ceil(total);
            let failed = part(counts.failed + counts.stopped);
            let done = part(counts.succeeded).min(columns - failed);
            line.push(&"█".repeat(done), GOOD)
                .push(&"█".repeat(failed), BAD)
                .push(&"░".repeat(columns - done - failed), FAINT)
                .push("  ", PLAIN);
        }
        line.push(&format!("{} of {total} done", counts.succeeded), PLAIN);
        if counts.failed > 0 {
            line.push(&format!(", {} failed", counts.failed), BAD);
        }
        if counts.stopped > 0 {
            line.push(&format!(", {} stopped", counts.stopped), WARN);
        }
        let mut usage = Usage::default();
        agents.iter().for_each(|agent| usage += agent.usage);
        let estimated: u64 = agents.iter().map(Agent::tokens_being_written).sum();
        usage.output_tokens += estimated;
        let tokens = match usage.input_tokens {
            0 if estimated > 0 => Some(format!("{} out", words::short(estimated))),
            _ => words::tokens(&usage),
        };
        if let Some(tokens) = tokens {
            let about = if estimated > 0 { "~" } else { "" };
            line.push(&format!("  {about}{tokens}"), FAINT);
        }
        let is_free = usage.cost.known.is_none_or(|cost| cost == 0.0);
        if let Some(cost) = words::cost(usage.cost).filter(|_| !is_free) {
            line.push(&format!("  {cost}"), FAINT);
        }
        line.finish()
    }

    /// A line for each agent. The answer of the only one that writes gets lines of its own.
    fn all(&self, room: usize) -> Vec<String> {
        let agents = &self.board.agents;
        let mut writers = agents.iter().filter(|agent| agent.is_running());
        let only = match (writers.next(), writers.next()) {
            (Some(agent), None) if agent.tools.is_empty() => agent.answer(),
            _ => None,
        };
        let names = self.name_width(agents.iter());
        let mut lines: Vec<String> =
            agents.iter().map(|agent| self.agent(agent, names, only.is_none())).collect();
        let rows = room.saturating_sub(lines.len()).min(MAX_ANSWER);
        if let Some(answer) = only.filter(|_| rows > 1) {
            let text = answer.tail(&self.board.secrets);
            lines.extend(self.end_of(&crate::text::sanitize(&text), rows));
        }
        lines
    }

    /// The last lines of an answer, wrapped.
    fn end_of(&self, text: &str, rows: usize) -> Vec<String> {
        let width = (self.width - 1).min(prose::MAX_WIDTH).saturating_sub(2).max(1);
        let lines = text.trim_end().lines().map(|line| line.replace('\t', "    "));
        let lines: Vec<String> = lines.collect();
        let wrapped: Vec<&str> = lines.iter().flat_map(|line| fit::wrap(line, width)).collect();
        let start = wrapped.len().saturating_sub(rows);
        let indented = |row: &&str| {
            let mut line = self.line();
            line.push("  ", PLAIN).push(row, PLAIN);
            line.finish()
        };
        wrapped[start..].iter().map(indented).collect()
    }

    /// The agents that failed, then those that have run for the longest time, and how many others
    /// there are.
    fn few(&self, room: usize) -> Vec<String> {
        let rows = (room - 1).min(FEW_ROWS);
        let agents = &self.board.agents;
        let mut running: Vec<&Agent> = agents.iter().filter(|agent| agent.is_running()).collect();
        running.sort_by_key(|agent| agent.started);
        let failed: Vec<&Agent> = agents.iter().filter(|agent| agent.has_failed()).collect();
        // The latest failures, and never in place of all that runs.
        let most = rows.saturating_sub(running.len()).max(rows / 3);
        let failed = &failed[failed.len().saturating_sub(most)..];
        running.truncate(rows - failed.len());
        let shown: Vec<&Agent> = failed.iter().copied().chain(running).collect();
        let names = self.name_width(shown.iter().copied());
        let mut lines: Vec<String> =
            shown.iter().map(|agent| self.agent(agent, names, true)).collect();
        if let Some(more @ 1..) = self.board.total().checked_sub(shown.len()) {
            let mut line = self.line();
            line.push(&format!("… {more} more"), FAINT);
            lines.push(line.finish());
        }
        lines
    }

    fn name_width<'b>(&self, agents: impl Iterator<Item = &'b Agent>) -> usize {
        let widest = agents.map(|agent| fit::width(&agent.name)).max();
        widest.unwrap_or(0).min(MAX_NAME).min(self.width / 3)
    }

    /// `⠹ disk     3.1s  writing, 212 tokens  and the log has grown to 40`
    fn agent(&self, agent: &Agent, name_width: usize, with_tail: bool) -> String {
        let (state, style) = self.state(agent);
        let time = match (&agent.phase, agent.started) {
            (_, None) => String::new(),
            (Phase::Finished { took, .. }, _) => words::tenths(*took),
            (_, Some(started)) => words::tenths(self.now.saturating_duration_since(started)),
        };
        let (mark, mark_style) = self.mark(agent);
        let mut line = self.line();
        line.push(mark, mark_style)
            .push(" ", PLAIN)
            .push(&fit::pad(&agent.name, name_width), STRONG)
            .push(&format!(" {time:>TIME_WIDTH$}  "), FAINT)
            .push(&state, style);
        let room = line.room().saturating_sub(2);
        match agent.answer().filter(|_| with_tail && room >= MIN_TAIL) {
            Some(answer) => {
                let text = answer.tail(&self.board.secrets);
                line.push("  ", PLAIN).push(&fit::tail(&inline(&text), room), FAINT);
            }
            None => {
                let tokens = words::tokens(&agent.usage).filter(|_| agent.answer().is_none());
                line.push(&tokens.map(|t| format!("  {t}")).unwrap_or_default(), FAINT);
            }
        }
        line.finish()
    }

    fn mark(&self, agent: &Agent) -> (&'static str, Style) {
        match agent.phase {
            Phase::Waiting => ("·", FAINT),
            Phase::Finished { status, .. } => (words::mark(status), words::agent_style(status)),
            _ => {
                let time = self.now.saturating_duration_since(self.board.started).as_millis();
                let images = SPINNER.len() as u128;
                (SPINNER[usize::try_from(time / SPIN % images).unwrap_or(0)], PLAIN)
            }
        }
    }

    /// What an agent does, in plain words.
    fn state(&self, agent: &Agent) -> (String, Style) {
        if let Some((first, others)) = agent.tools.split_first() {
            let time = words::tenths(self.now.saturating_duration_since(first.started));
            let more = match others.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            return (format!("{}, {time}{more}", first.label), PLAIN);
        }
        match &agent.phase {
            Phase::Waiting => (self.board.waits_for(agent), FAINT),
            Phase::Starting if agent.instances > 0 => (instances(agent), PLAIN),
            Phase::Starting => ("starting".to_owned(), PLAIN),
            Phase::Working => ("working".to_owned(), PLAIN),
            Phase::Calling { answer, turn } => match agent.tokens_being_written() {
                0 if *turn > 1 => (format!("waiting for the first token, turn {turn}"), FAINT),
                0 => ("waiting for the first token".to_owned(), FAINT),
                tokens => {
                    let does = match answer.bytes() {
                        0 if answer.is_reasoning() => "reasoning",
                        0 => "writing a tool call",
                        _ => "writing",
                    };
                    (format!("{does}, {} tokens", words::short(tokens)), PLAIN)
                }
            },
            Phase::Queued { reason, until } => {
                let left = until.saturating_duration_since(self.now);
                let text = match left.is_zero() {
                    true => format!("queued: {reason}"),
                    false => format!("rate limited, {} left", left_over(left)),
                };
                (text, WARN)
            }
            Phase::Retrying { until, error } => {
                let left = left_over(until.saturating_duration_since(self.now));
                (format!("retrying in {left}: {error}"), WARN)
            }
            Phase::Finished { status, error, .. } => {
                let status_words = match status {
                    AgentStatus::Succeeded => "done".to_owned(),
                    status => words::status(status),
                };
                let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                (status_words + &why, words::agent_style(*status))
            }
        }
    }
}

/// How far the instances of an agent are: `3 of 10 done, 1 failed`, as the header says it.
fn instances(agent: &Agent) -> String {
    let Counts { succeeded, failed, stopped, .. } = agent.ended_instances;
    let mut text = format!("{succeeded} of {} done", agent.instances);
    for (count, what) in [(failed, "failed"), (stopped, "stopped")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// Rounded up: never 0s while it waits.
fn left_over(time: Duration) -> String {
    words::limit(Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0)))
}

/// Whole seconds: `0:03`, `12:40`, `1:02:03`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, rest) = (seconds / 60, seconds % 60);
    match minutes {
        0..60 => format!("{minutes}:{rest:02}"),
        _ => format!("{}:{:02}:{rest:02}", minutes / 60, minutes % 60),
    }
}

#[cfg(test)]
mod tests;
