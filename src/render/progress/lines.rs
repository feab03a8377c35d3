//! Progress as plain lines, one for each change of state.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::board::{self, Board};
use crate::render::paint::{Line, PLAIN, STRONG};
use crate::render::{fit, words};
use crate::report::{AgentStatus, Event, ToolStatus};

/// The lines that stay above a drawing: an agent that failed and, if verbose, a tool that did.
/// Its whole reason follows at the end of the run.
pub fn above(
    event: &Event,
    board: &Board,
    columns: usize,
    colour: bool,
    verbose: bool,
) -> Option<String> {
    let mut line = Line::new(columns, colour);
    match event {
        Event::AgentFinished { agent, status, duration, message: Some(message), .. } => {
            let name = board.agents.get(agent.0)?.name.as_str();
            let (end, time) = (words::status(status), words::duration(*duration));
            let text = format!("{name} {end} after {time}: {}", board::detail(message));
            let rows = fit::wrap(&text, columns.saturating_sub(2).max(1));
            let (first, more) = rows.split_first()?;
            let (name, rest) = first.split_at(first.find(' ').unwrap_or(first.len()));
            line.push(words::mark(*status), words::agent_style(*status))
                .push(" ", PLAIN)
                .push(name, STRONG)
                .push(rest, PLAIN);
            let more = more.iter().map(|row| format!("\n  {row}"));
            return Some(line.finish() + &more.collect::<String>());
        }
        Event::ToolFinished { agent, tool, cause: Some(cause), .. } if verbose => {
            let (name, tool) = (&board.agents.get(agent.0)?.name, board::tool_name(tool));
            line.push(&format!("  {name}: {tool} failed: {}", board::detail(cause)), PLAIN);
        }
        _ => return None,
    }
    Some(line.finish())
}

/// The line about an event, or `None` for events without one.
pub fn line(event: &Event, board: &Board, now: Instant, verbose: bool) -> Option<String> {
    let time = words::clock(now.saturating_duration_since(board.started));
    let (agent, what) = match event {
        Event::Stopping { reason, grace } => {
            return Some(format!("[{time}] {}", board::stopping(reason, *grace)));
        }
        Event::AgentStarted { agent } => {
            (agent, format!("started ({})", board.agents.get(agent.0)?.model))
        }
        Event::ModelCallStarted { agent, turn, .. } if verbose => {
            (agent, format!("model call, turn {turn}"))
        }
        Event::ModelCallStarted { .. } | Event::Tokens { .. } => return None,
        Event::Queued { agent, reason, .. } => (agent, format!("queued ({reason})")),
        Event::FellBack { agent, from, to, error } => {
            let (from, to) = (board::detail(from), board::detail(to));
            (agent, format!("{from} failed, trying {to} ({})", board::detail(error)))
        }
        Event::Retrying { agent, delay, error, .. } => {
            let when = match delay.is_zero() {
                true => String::new(),
                false => format!(" in {}", words::limit(*delay)),
            };
            (agent, format!("retrying{when} ({})", board::detail(error)))
        }
        Event::ToolStarted { agent, tool, arguments } => {
            (agent, format!("running {}", board::tool_label(tool, arguments, verbose)))
        }
        Event::ToolFinished { agent, tool, status, duration, cause } => {
            let end = match status {
                // Nothing ran.
                ToolStatus::Rejected => words::status(status),
                status => ended(status, *duration),
            };
            let mut what = format!("{} {end}", board::tool_name(tool));
            if let Some(cause) = cause {
                what.push_str(&format!(": {}", board::detail(cause)));
            }
            (agent, what)
        }
        Event::InstancesKnown { agent, count } => {
            (agent, words::count(*count as u64, "instance", "instances"))
        }
        Event::InstanceAdded { .. } | Event::Transcript { .. } => return None,
        Event::StepStarted { agent, program } => {
            (agent, format!("running {}", board::tool_name(program)))
        }
        Event::CheckStarted { agent, program } => {
            (agent, format!("running check {}", board::tool_name(program)))
        }
        Event::CheckFinished { agent, status, duration } => {
            (agent, format!("check {}", ended(status, *duration)))
        }
        Event::AgentFinished { agent, status, duration, message, reason } => {
            let row = board.agents.get(agent.0)?;
            let what = match (row.started, reason) {
                (Some(_), _) => finished(row, ended(status, *duration), message.as_deref()),
                (None, Some(reason)) if *status == AgentStatus::Skipped => {
                    format!("{}: {}", words::status(status), words::reason(reason))
                }
                (None, _) => words::status(status),
            };
            (agent, what)
        }
        Event::AgentReused { agent, status } => {
            (agent, format!("{} in an earlier run", words::status(status)))
        }
    };
    Some(format!("[{time}] {}: {what}", board.agents.get(agent.0)?.name))
}

/// `succeeded in 1.2s`.
fn ended(status: impl Serialize, duration: Duration) -> String {
    format!("{} in {}", words::status(status), words::duration(duration))
}

/// How an agent ended, with its tokens, its model and the reason of a failure.
fn finished(row: &board::Agent, mut end: String, message: Option<&str>) -> String {
    if let Some(tokens) = words::tokens(&row.usage) {
        end.push_str(&format!(", {tokens}"));
    }
    end.push_str(&format!(" ({})", row.model));
    if let Some(message) = message {
        end.push_str(&format!(": {}", board::detail(message)));
    }
    end
}
