//! Progress as plain lines, one for each change of state.

use super::board::{self, Board};
use crate::render::words;
use crate::report::Event;

/// The line about an event, or `None` for events without one.
pub fn line(event: &Event, board: &Board, verbose: bool) -> Option<String> {
    let (agent, what) = match event {
        Event::Stopping { reason, grace } => return Some(board::stopping(reason, *grace)),
        Event::AgentStarted { agent } => (agent, "started".to_owned()),
        Event::ModelCallStarted { agent, turn } if verbose => {
            (agent, format!("model call, turn {turn}"))
        }
        Event::ModelCallStarted { .. } | Event::Tokens { .. } => return None,
        Event::Queued { agent, reason } => (agent, format!("queued ({reason})")),
        Event::FellBack { agent, from, to, error } => {
            let (from, to) = (board::detail(from), board::detail(to));
            (agent, format!("{from} failed, trying {to} ({})", board::detail(error)))
        }
        Event::Retrying { agent, delay, error, .. } => {
            let when = if delay.is_zero() {
                String::new()
            } else {
                format!(" in {}", words::limit(*delay))
            };
            (agent, format!("retrying{when} ({})", board::detail(error)))
        }
        Event::ToolStarted { agent, tool, arguments } => {
            (agent, format!("running {}", board::tool_label(tool, arguments, verbose)))
        }
        Event::ToolFinished { agent, tool, status, duration } => {
            let status = words::status(status);
            let tool = board::tool_name(tool);
            (agent, format!("{tool} {status} in {}", words::duration(*duration)))
        }
        Event::AgentFinished { agent, status, duration, message } => {
            let status = words::status(status);
            let mut what = format!("{status} in {}", words::duration(*duration));
            if let Some(message) = message {
                what.push_str(&format!(": {}", board::detail(message)));
            }
            (agent, what)
        }
    };
    Some(format!("{}: {what}", board.agents.get(agent.0)?.name))
}
