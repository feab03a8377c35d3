//! Progress where nothing can be drawn: a plain line per change of state.

use std::time::Duration;

use super::board::{self, Board};
use crate::render::words;
use crate::report::{CancelKind, CancelReason, Event};

/// The line that tells of `event`; `None` for what is not worth one.
pub fn line(event: &Event, board: &Board, verbose: bool) -> Option<String> {
    let (agent, what) = match event {
        Event::Stopping { reason, grace } => return Some(stopping(reason, *grace)),
        Event::AgentStarted { agent } => (agent, "started".to_owned()),
        Event::ModelCallStarted { agent, turn } if verbose => {
            (agent, format!("model call, turn {turn}"))
        }
        Event::ModelCallStarted { .. } | Event::Tokens { .. } => return None,
        Event::Queued { agent, reason } => (agent, format!("waiting for its turn ({reason})")),
        Event::FellBack { agent, from, to, error } => {
            let (from, to) = (board::detail(from), board::detail(to));
            (agent, format!("{from} failed, asking {to} ({})", board::detail(error)))
        }
        Event::Retrying { agent, delay, error, .. } => {
            let when = match delay.is_zero() {
                true => String::new(),
                false => format!(" in {}", words::limit(*delay)),
            };
            (agent, format!("retrying{when} ({})", board::detail(error)))
        }
        Event::ToolStarted { agent, tool, arguments } => {
            let tool = board::tool_name(tool);
            let what = match verbose {
                true => format!("running {tool} {}", board::arguments(arguments)),
                false => format!("running {tool}"),
            };
            (agent, what)
        }
        Event::ToolFinished { agent, tool, status, duration } => {
            let status = words::tool_status(*status);
            let tool = board::tool_name(tool);
            (agent, format!("{tool} {status} in {}", words::duration(*duration)))
        }
        Event::AgentFinished { agent, status, duration, message } => {
            let status = words::agent_status(*status);
            let mut what = format!("{status} in {}", words::duration(*duration));
            if let Some(message) = message {
                what.push_str(&format!(": {}", board::detail(message)));
            }
            (agent, what)
        }
    };
    Some(format!("{}: {what}", board.agents.get(agent.0)?.name))
}

/// That the run is being stopped, and how long that may take.
pub fn stopping(reason: &CancelReason, grace: Duration) -> String {
    let why = match reason.kind {
        CancelKind::Interrupted => "interrupted".to_owned(),
        _ => words::reason(reason),
    };
    if grace.is_zero() {
        return format!("stopping: {why}");
    }
    let hint = match reason.kind {
        CancelKind::Interrupted => " (Ctrl-C again kills them)",
        _ => "",
    };
    format!("stopping: {why}; tools have {} to end{hint}", words::limit(grace))
}
