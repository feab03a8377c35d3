//! The agents of a report at a glance.

use std::borrow::Cow;

use super::paint::{FAINT, GOOD, paint};
use super::table::{Column, Narrow, table};
use super::timeline::{self, has_waited};
use super::{fit, words};
use crate::report::{AgentKind, AgentReport, AgentStatus};
use crate::text::inline;

/// Columns of a longer model are cut: the start tells models apart.
const MAX_MODEL: usize = 40;
const MIN_NAME: usize = 8;
/// Agents, or instances of one agent, that are all shown.
pub const MAX_ROWS: usize = 15;

type Cell = fn(&AgentReport) -> Cow<'_, str>;

const COLUMNS: [(Column, Cell); 8] = [
    (Column::text("agent", Narrow::Cut(MIN_NAME)), |agent| inline(&agent.name)),
    (Column::text("status", Narrow::Never), |agent| status_words(agent).into()),
    (Column::text("model", Narrow::LeaveOut(4)), |agent| match agent.kind {
        AgentKind::Model => fit::cut(&inline(&agent.model), MAX_MODEL).into_owned().into(),
        AgentKind::Step => "step".into(),
    }),
    (Column::number("turns", Narrow::LeaveOut(6)), |agent| agent.turns.to_string().into()),
    (Column::number("tools", Narrow::LeaveOut(5)), |agent| {
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

/// Only where prices are known.
const COST: Column = Column::number("cost", Narrow::LeaveOut(3));

/// Only where an agent waited for another one.
const TIMELINE: Column = Column::text(
    "timeline",
    Narrow::CutOrLeaveOut { min: timeline::MIN_WIDTH, before: 4, rank: 3 },
);

/// Only where a call was repeated, or an answer corrected.
const RETRIES: Column = Column::number("retries", Narrow::LeaveOut(3));

/// A table of the agents and their instances, none of its lines wider than `width` as long as name
/// and status fit. With many of them, one line stands for those that succeeded, and one for those
/// that were skipped by a condition.
pub fn agents(agents: &[AgentReport], width: usize, colour: bool) -> Vec<String> {
    let all: Vec<&AgentReport> = agents.iter().flat_map(AgentReport::with_instances).collect();
    let folds = all.len() > MAX_ROWS;
    let (folded, shown): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|agent| folds && agent.ended_well());
    let timeline_cell: &dyn Fn(&AgentReport) -> String = &|agent| timeline::timeline(agent, agents);
    let has_retries = shown.iter().any(|agent| agent.retries > 0);
    let extra = [
        (RETRIES, &retries as &dyn Fn(&AgentReport) -> String, has_retries),
        (COST, &cost as &dyn Fn(&AgentReport) -> String, has_costs(agents)),
        (TIMELINE, timeline_cell, has_waited(agents)),
    ];
    let extra: Vec<_> = extra.into_iter().filter(|(.., is_shown)| *is_shown).collect();
    let mut columns = COLUMNS.map(|(column, _)| column).to_vec();
    columns.extend(extra.iter().map(|(column, ..)| *column));
    let cell = |row: usize, column: usize| match COLUMNS.get(column) {
        Some((_, cell)) => cell(shown[row]),
        None => extra[column - COLUMNS.len()].1(shown[row]).into(),
    };
    let mut lines = table(&columns, shown.len(), cell, width);
    for (position, line) in lines.iter_mut().enumerate() {
        *line = match position.checked_sub(1) {
            None => paint(line, FAINT, colour),
            Some(row) => highlight(line, shown[row], colour),
        };
    }
    let (succeeded, skipped): (Vec<_>, Vec<_>) =
        folded.into_iter().partition(|agent| agent.status == AgentStatus::Succeeded);
    lines.extend(fold(&succeeded).map(|line| paint(&line, GOOD, colour)));
    if !skipped.is_empty() {
        let mark = words::mark(AgentStatus::Skipped);
        lines.push(format!("{mark} {} skipped by `when`", skipped.len()));
    }
    lines
}

/// Whether a price is known of any call that was not free.
fn has_costs(agents: &[AgentReport]) -> bool {
    agents.iter().any(|agent| agent.usage.cost.known.is_some_and(|cost| cost > 0.0))
}

fn retries(agent: &AgentReport) -> String {
    match agent.retries {
        0 => String::new(),
        retries => retries.to_string(),
    }
}

/// The cost as far as it is known: `0.0123`, and with `+` if some calls have no price.
fn cost(agent: &AgentReport) -> String {
    let Some(known) = agent.usage.cost.known else { return String::new() };
    let more = if agent.usage.cost.unpriced_calls > 0 { "+" } else { "" };
    format!("{}{more}", words::amount(known))
}

/// The line with its status in colour.
fn highlight(line: &str, agent: &AgentReport, colour: bool) -> String {
    let words = status_words(agent);
    line.replacen(&words, &paint(&words, words::agent_style(agent.status), colour), 1)
}

fn status_words(agent: &AgentReport) -> String {
    let status = agent.status;
    let mark = words::mark(status);
    match (agent.reused, status) {
        (false, _) => format!("{mark} {}", words::status(status)),
        (true, AgentStatus::Succeeded) => format!("{mark} reused"),
        (true, _) => format!("{mark} {} before", words::status(status)),
    }
}

/// `✓ 52 succeeded in 300ms to 6.4s`, or nothing without any.
fn fold(agents: &[&AgentReport]) -> Option<String> {
    let times = agents.iter().map(|agent| agent.duration_ms);
    let (first, last) = (times.clone().min()?, times.max()?);
    let mark = words::mark(AgentStatus::Succeeded);
    let (first, last) = (words::millis(first), words::millis(last));
    Some(format!("{mark} {} succeeded in {first} to {last}", agents.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::fixtures::{answered, ended_by, timed_out, tool_call, with_calls};
    use crate::report::{CancelKind, CancelReason, Cost};

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
            "summary  ⊘ skipped    openai/gpt-4o-mini      0      0          0    0",
        ];
        assert_eq!(super::agents(&three(), 80, false), expected);
    }

    #[test]
    fn costs_have_a_column_where_prices_are_known() {
        let mut agents = three();
        agents[0].usage.cost.known = Some(0.01234);
        agents[1].usage.cost = Cost { known: Some(0.5), unpriced_calls: 1 };
        let lines = super::agents(&agents, 100, false);
        let ends = ["   time     cost", "   1.8s   0.0123", "  30.0s  0.5000+", "  0    0"];
        for (line, end) in lines.iter().zip(ends) {
            assert!(line.ends_with(end), "{lines:#?}");
        }
        assert!(!super::agents(&agents, 40, false)[0].contains("cost"));
    }

    #[test]
    fn a_narrow_terminal_shows_the_most_useful_columns() {
        let expected = [
            "agent    status       tokens in  out   time",
            "disk     ✓ succeeded        300   90   1.8s",
            "net      ✗ timed out          0    0  30.0s",
            "summary  ⊘ skipped            0    0",
        ];
        assert_eq!(super::agents(&three(), 48, false), expected);
        let expected = [
            "agent    status        time",
            "disk     ✓ succeeded   1.8s",
            "net      ✗ timed out  30.0s",
            "summary  ⊘ skipped",
        ];
        assert_eq!(super::agents(&three(), 40, false), expected);
    }

    #[test]
    fn wide_and_hostile_names_fit() {
        let mut agents = three();
        agents[0].name = "名前\u{1b}[2J\n".repeat(20);
        agents[0].model = "m".repeat(200);
        for width in [22, 30, 40, 60, 80, 120] {
            for line in super::agents(&agents, width, false) {
                assert!(fit::width(&line) <= width, "{width}: {line}");
                assert!(!line.contains('\u{1b}'));
            }
        }
        assert_eq!(super::agents(&agents, 0, false).len(), 4);
    }

    #[test]
    fn beyond_fifteen_agents_those_that_ended_well_are_folded() {
        let mut agents: Vec<_> = (0..14).map(|n| answered(&format!("a{n}"), "x")).collect();
        agents.push(timed_out("net"));
        assert_eq!(super::agents(&agents, 80, false).len(), 16);
        agents[3].duration_ms = 400;
        agents.push(answered("last", "x"));
        agents.push(ended_by("idle", AgentStatus::Skipped, CancelKind::When.into()));
        let expected = [
            "agent  status       model               turns  tools  tokens in  out   time",
            "net    ✗ timed out  openai/gpt-4o-mini      2      0          0    0  30.0s",
            "✓ 15 succeeded in 400ms to 1.8s",
            "⊘ 1 skipped by `when`",
        ];
        assert_eq!(super::agents(&agents, 80, false), expected);
    }

    #[test]
    fn no_agents_no_table() {
        assert!(super::agents(&[], 80, false).is_empty());
    }
}
