//! The agents at a glance, as a table as wide as the terminal allows.

use super::{fit, words};
use crate::report::AgentReport;
use crate::text::inline;

/// Between two columns.
const GAP: usize = 2;
/// Longer models are cut: their start tells them apart.
const WIDEST_MODEL: usize = 40;
const NARROWEST_NAME: usize = 8;

struct Column {
    title: &'static str,
    numbers: bool,
    /// Higher ones are left out first where there is no room.
    dispensable: u8,
    cell: fn(&AgentReport) -> String,
}

const COLUMNS: [Column; 8] = [
    Column { title: "agent", numbers: false, dispensable: 0, cell: |a| inline(&a.name).into() },
    Column { title: "status", numbers: false, dispensable: 0, cell: status },
    Column { title: "model", numbers: false, dispensable: 3, cell: model },
    Column { title: "turns", numbers: true, dispensable: 5, cell: |a| a.turns.to_string() },
    Column {
        title: "tools",
        numbers: true,
        dispensable: 4,
        cell: |a| a.usage.tool_calls.to_string(),
    },
    Column {
        title: "tokens in",
        numbers: true,
        dispensable: 2,
        cell: |a| a.usage.input_tokens.to_string(),
    },
    Column {
        title: "out",
        numbers: true,
        dispensable: 2,
        cell: |a| a.usage.output_tokens.to_string(),
    },
    Column { title: "time", numbers: true, dispensable: 1, cell: time },
];

fn status(agent: &AgentReport) -> String {
    format!("{} {}", words::mark(agent.status), words::agent_status(agent.status))
}

fn model(agent: &AgentReport) -> String {
    fit::cut(&inline(&agent.model), WIDEST_MODEL).into_owned()
}

fn time(agent: &AgentReport) -> String {
    agent.started_ms.map(|_| words::millis(agent.duration_ms)).unwrap_or_default()
}

/// The table's lines, none wider than `width` as long as name and status have room at all. Cells
/// are made twice, to be measured and to be written, rather than kept: there may be thousands.
pub fn table(agents: &[AgentReport], width: usize) -> Vec<String> {
    if agents.is_empty() {
        return vec![];
    }
    let mut columns: Vec<(&Column, usize)> =
        COLUMNS.iter().map(|column| (column, widest(column, agents))).collect();
    while total(&columns) > width {
        let least_needed = columns.iter().map(|(column, _)| column.dispensable).max();
        match least_needed {
            Some(dispensable @ 1..) => {
                columns.retain(|(column, _)| column.dispensable != dispensable);
            }
            _ => break,
        }
    }
    let excess = total(&columns).saturating_sub(width);
    let names = &mut columns[0].1;
    *names = names.saturating_sub(excess).max(NARROWEST_NAME).min(*names);
    let titles = line(&columns, |column| column.title.to_owned());
    let rows = agents.iter().map(|agent| line(&columns, |column| (column.cell)(agent)));
    std::iter::once(titles).chain(rows).collect()
}

fn widest(column: &Column, agents: &[AgentReport]) -> usize {
    let cells = agents.iter().map(|agent| fit::width(&(column.cell)(agent)));
    cells.max().unwrap_or(0).max(column.title.len())
}

fn total(columns: &[(&Column, usize)]) -> usize {
    columns.iter().map(|(_, width)| width).sum::<usize>() + GAP * columns.len().saturating_sub(1)
}

fn line(columns: &[(&Column, usize)], cell: impl Fn(&Column) -> String) -> String {
    let mut line = String::new();
    let mut gap = 0;
    for (column, width) in columns {
        let cell = cell(column);
        let cell = fit::cut(&cell, *width);
        let fill = width.saturating_sub(fit::width(&cell));
        let (before, after) = if column.numbers { (fill, 0) } else { (0, fill) };
        line.extend(std::iter::repeat_n(' ', gap + before));
        line.push_str(&cell);
        gap = GAP + after;
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{answered, ended_by, timed_out, tool_call, with_calls};
    use crate::report::{AgentStatus, CancelReason};

    fn agents() -> Vec<AgentReport> {
        vec![
            with_calls(answered("disk", "x"), vec![tool_call()]),
            timed_out("net"),
            ended_by("summary", AgentStatus::Skipped, CancelReason::agent_failed("net")),
        ]
    }

    #[test]
    fn all_columns_where_there_is_room() {
        let expected = [
            "agent    status       model               turns  tools  tokens in  out   time",
            "disk     ✓ succeeded  openai/gpt-4o-mini      2      1        300   90   1.8s",
            "net      ✗ timed out  openai/gpt-4o-mini      2      0          0    0  30.0s",
            "summary  - skipped    openai/gpt-4o-mini      0      0          0    0",
        ];
        assert_eq!(table(&agents(), 80), expected);
    }

    #[test]
    fn columns_give_way_by_their_worth() {
        let expected = [
            "agent    status       tokens in  out   time",
            "disk     ✓ succeeded        300   90   1.8s",
            "net      ✗ timed out          0    0  30.0s",
            "summary  - skipped            0    0",
        ];
        assert_eq!(table(&agents(), 48), expected);
        let expected = [
            "agent    status        time",
            "disk     ✓ succeeded   1.8s",
            "net      ✗ timed out  30.0s",
            "summary  - skipped",
        ];
        assert_eq!(table(&agents(), 40), expected);
    }

    #[test]
    fn wide_and_hostile_names_fit() {
        let mut agents = agents();
        agents[0].name = "名前\u{1b}[2J\n".repeat(20);
        agents[0].model = "m".repeat(200);
        for width in [22, 30, 40, 60, 80, 120] {
            for line in table(&agents, width) {
                assert!(fit::width(&line) <= width, "{width}: {line}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert_eq!(table(&agents, 0).len(), 4);
    }

    #[test]
    fn no_agents_no_table() {
        assert!(table(&[], 80).is_empty());
    }
}
