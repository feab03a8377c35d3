//! When each agent of a report ran, and which agent it waited for, as a cell of a table.

use super::fit;
use crate::report::AgentReport;
use crate::text::inline;

/// Columns of the bar.
const BAR: usize = 16;
/// Columns of the name of an agent.
const MAX_NAME: usize = 16;

/// `     ████████     after disk`: the time from the start of the run to its end as a bar, and the
/// agent whose end this one waited for.
pub fn timeline(agent: &AgentReport, all: &[AgentReport]) -> String {
    let Some((start, end)) = span(agent) else { return String::new() };
    let total = all.iter().filter_map(span).map(|(_, end)| end).max().unwrap_or(end).max(1);
    let column =
        |time: u64| usize::try_from(time.saturating_mul(BAR as u64) / total).unwrap_or(BAR);
    let from = column(start).min(BAR - 1);
    let length = (column(end).min(BAR) - from).max(1);
    let bar = " ".repeat(from) + &"█".repeat(length);
    match waited_for(agent, all) {
        Some(needed) => {
            let name = inline(&needed.name);
            format!("{}  after {}", fit::pad(&bar, BAR), fit::cut(&name, MAX_NAME))
        }
        None => bar,
    }
}

/// Whether any agent of the report waited for another one.
pub fn has_waited(agents: &[AgentReport]) -> bool {
    agents.iter().any(|agent| agent.started_ms.is_some() && !agent.needs.is_empty())
}

/// The agent that ended last of those that this one needs.
fn waited_for<'a>(agent: &AgentReport, all: &'a [AgentReport]) -> Option<&'a AgentReport> {
    let needed = all.iter().filter(|other| agent.needs.contains(&other.name));
    needed.max_by_key(|needed| span(needed).map(|(_, end)| end))
}

/// Start and end in milliseconds since the start of the run.
fn span(agent: &AgentReport) -> Option<(u64, u64)> {
    agent.started_ms.map(|start| (start, start.saturating_add(agent.duration_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::answered;

    fn ran(name: &str, start: u64, end: u64, needs: &[&str]) -> AgentReport {
        AgentReport {
            started_ms: Some(start),
            duration_ms: end - start,
            needs: needs.iter().map(|&name| name.to_owned()).collect(),
            ..answered(name, "x")
        }
    }

    #[test]
    fn a_bar_shows_when_and_after_whom() {
        let all = [
            ran("disk", 0, 500, &[]),
            ran("net", 0, 1000, &[]),
            ran("summary", 1000, 2000, &["disk", "net"]),
            ran("late", 2000, 2000, &["summary"]),
            AgentReport { started_ms: None, ..ran("never", 0, 0, &["net"]) },
        ];
        let lines = all.each_ref().map(|agent| timeline(agent, &all));
        let expected = [
            "████",
            "████████",
            "        ████████  after net",
            "               █  after summary",
            "",
        ];
        assert_eq!(lines, expected);
        assert!(has_waited(&all) && !has_waited(&all[..2]) && !has_waited(&all[4..]));
    }
}
