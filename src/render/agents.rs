//! The agents of a report at a glance.

use std::borrow::Cow;

use super::table::{Column, Narrow, table};
use super::{fit, words};
use crate::report::AgentReport;
use crate::text::inline;

/// Columns of a longer model are cut: the start tells models apart.
const MAX_MODEL: usize = 40;
const MIN_NAME: usize = 8;

type Cell = fn(&AgentReport) -> Cow<'_, str>;

const COLUMNS: [(Column, Cell); 8] = [
    (Column::text("agent", Narrow::Cut(MIN_NAME)), |agent| inline(&agent.name)),
    (Column::text("status", Narrow::Never), |agent| {
        format!("{} {}", words::mark(agent.status), words::status(agent.status)).into()
    }),
    (Column::text("model", Narrow::LeaveOut(3)), |agent| {
        fit::cut(&inline(&agent.model), MAX_MODEL).into_owned().into()
    }),
    (Column::number("turns", Narrow::LeaveOut(5)), |agent| agent.turns.to_string().into()),
    (Column::number("tools", Narrow::LeaveOut(4)), |agent| {
        agent.usage.tool_calls.to_string().into()
    }),
    (Column::number("tokens in", Narrow::LeaveOut(2)), |agent| {
        agent.usage.input_tokens.to_string().into()
    }),
    (Column::number("out", Narrow::LeaveOut(2)), |agent| {
        agent.usage.output_tokens.to_string().into()
    }),
    (Column::number("time", Narrow::LeaveOut(1)), |agent| {
        agent.started_ms.map(|_| words::millis(agent.duration_ms)).unwrap_or_default().into()
    }),
];

/// A table of the agents, none of its lines wider than `width` as long as name and status fit.
pub fn agents(agents: &[AgentReport], width: usize) -> Vec<String> {
    let columns = COLUMNS.map(|(column, _)| column);
    table(&columns, agents.len(), |row, column| COLUMNS[column].1(&agents[row]), width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{answered, ended_by, timed_out, tool_call, with_calls};
    use crate::report::{AgentStatus, CancelReason};

    fn three() -> Vec<AgentReport> {
        vec![
            with_calls(answered("disk", "x"), vec![tool_call()]),
            timed_out("net"),
            ended_by("summary", AgentStatus::Skipped, CancelReason::agent_failed("net")),
        ]
    }

    #[test]
    fn a_wide_terminal_shows_all_columns() {
        let expected = [
            "agent    status       model               turns  tools  tokens in  out   time",
            "disk     ✓ succeeded  openai/gpt-4o-mini      2      1        300   90   1.8s",
            "net      ✗ timed out  openai/gpt-4o-mini      2      0          0    0  30.0s",
            "summary  - skipped    openai/gpt-4o-mini      0      0          0    0",
        ];
        assert_eq!(super::agents(&three(), 80), expected);
    }

    #[test]
    fn a_narrow_terminal_shows_the_most_useful_columns() {
        let expected = [
            "agent    status       tokens in  out   time",
            "disk     ✓ succeeded        300   90   1.8s",
            "net      ✗ timed out          0    0  30.0s",
            "summary  - skipped            0    0",
        ];
        assert_eq!(super::agents(&three(), 48), expected);
        let expected = [
            "agent    status        time",
            "disk     ✓ succeeded   1.8s",
            "net      ✗ timed out  30.0s",
            "summary  - skipped",
        ];
        assert_eq!(super::agents(&three(), 40), expected);
    }

    #[test]
    fn wide_and_hostile_names_fit() {
        let mut agents = three();
        agents[0].name = "名前\u{1b}[2J\n".repeat(20);
        agents[0].model = "m".repeat(200);
        for width in [22, 30, 40, 60, 80, 120] {
            for line in super::agents(&agents, width) {
                assert!(fit::width(&line) <= width, "{width}: {line}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert_eq!(super::agents(&agents, 0).len(), 4);
    }

    #[test]
    fn no_agents_no_table() {
        assert!(super::agents(&[], 80).is_empty());
    }
}
