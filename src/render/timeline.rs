//! When each agent of a report ran, and which agents it waited for, as a cell of a table.

use super::{fit, words};
use crate::report::AgentReport;

/// Columns of the bar.
const BAR: usize = 16;
/// Agents that one waited for, by name.
const MAX_NAMES: usize = 4;
/// The least columns of a cell that still says something.
pub const MIN_WIDTH: usize = BAR + 2 + "after ".len() + 4;

/// `     ████████     after disk, net`: the time from the start of the run to its end as a bar, and
/// the agents whose end this one waited for.
pub fn timeline(agent: &AgentReport, all: &[AgentReport]) -> String {
    let Some((start, end)) = span(agent) else { return String::new() };
    let total = all.iter().filter_map(span).map(|(_, end)| end).max().unwrap_or(end).max(1);
    let column =
        |time: u64| usize::try_from(time.saturating_mul(BAR as u64) / total).unwrap_or(BAR);
    let from = column(start).min(BAR - 1);
    let length = (column(end).min(BAR) - from).max(1);
    let bar = " ".repeat(from) + &"█".repeat(length);
    let needed: Vec<&str> = waited_for(agent, all).collect();
    if needed.is_empty() {
        return bar;
    }
    format!("{}  after {}", fit::pad(&bar, BAR), words::names(needed, MAX_NAMES))
}

/// Whether any agent of the report waited for another one.
pub fn has_waited(agents: &[AgentReport]) -> bool {
    let has_waited = |agent: &AgentReport| waited_for(agent, agents).next().is_some();
    agents.iter().any(|agent| agent.started_ms.is_some() && has_waited(agent))
}

/// The agents that this one needs, but for those of an earlier run: it starts when the last one has
/// ended.
fn waited_for<'a>(agent: &'a AgentReport, all: &'a [AgentReport]) -> impl Iterator<Item = &'a str> {
    let needed = agent.needs.iter();
    let needed = needed.filter_map(|name| all.iter().find(|other| other.name == *name));
    needed.filter(|needed| !needed.reused).map(|needed| needed.name.as_str())
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
            ran("all", 2000, 2000, &["disk", "net", "summary", "late", "never", "gone"]),
        ];
        let lines = all.each_ref().map(|agent| timeline(agent, &all));
        let expected = [
            "████",
            "████████",
            "        ████████  after disk, net",
            "               █  after summary",
            "",
            "               █  after disk, net, summary, late and 1 more",
        ];
        assert_eq!(lines, expected);
        assert!(has_waited(&all) && !has_waited(&all[..2]) && !has_waited(&all[4..5]));
        let reused = [
            AgentReport { reused: true, started_ms: None, ..all[1].clone() },
            ran("b", 0, 9, &["net"]),
        ];
        assert!(!has_waited(&reused) && timeline(&reused[1], &reused) == "████████████████");
    }
}
