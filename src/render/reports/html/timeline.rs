//! When each agent and instance ran: a row with a bar of SVG for each.

use std::io::{self, Write};
use std::time::Duration;

use super::escape::Inline;
use crate::render::words;
use crate::report::{AgentReport, Report};

/// Units of a bar.
const WIDTH: u64 = 1000;
const MAX_ROWS: usize = 300;

pub fn timeline(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let agents: Vec<(&AgentReport, u64)> = report
        .agents
        .iter()
        .flat_map(AgentReport::with_instances)
        .filter_map(|agent| Some((agent, agent.started_ms?)))
        .collect();
    if agents.is_empty() {
        return Ok(());
    }
    let end = agents.iter().map(|(agent, start)| start.saturating_add(agent.duration_ms)).max();
    let total = end.unwrap_or_default().max(1);
    writeln!(out, "<h2>Timeline</h2>")?;
    for (agent, start) in agents.iter().take(MAX_ROWS) {
        row(agent, *start, total, out)?;
    }
    writeln!(
        out,
        "<div class=\"row dim\"><span></span><span class=\"axis\"><span>0</span><span>{}</span></span>\
         <span></span></div>",
        words::millis(total),
    )?;
    match agents.len().saturating_sub(MAX_ROWS) {
        0 => Ok(()),
        more => writeln!(out, "<p class=\"dim\">{more} more are not shown</p>"),
    }
}

fn row(agent: &AgentReport, start: u64, total: u64, out: &mut impl Write) -> io::Result<()> {
    let time = words::millis(agent.duration_ms);
    let (name, time) = (Inline(&agent.name), Inline(&time));
    let class = words::name(agent.status);
    write!(
        out,
        "<div class=\"row\"><span title=\"{name}\">{name}</span>\
         <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"from {} for {time}\">",
        words::limit(Duration::from_millis(start)),
    )?;
    let mut bar = |class: &str, y: u8, height: u8, start: u64, duration: u64| {
        let x = scaled(start, total).min(WIDTH - 1);
        let width = scaled(start.saturating_add(duration), total).clamp(x + 1, WIDTH) - x;
        write!(
            out,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        )
    };
    bar(&class, 1, 8, start, agent.duration_ms)?;
    for call in &agent.tool_calls {
        bar("tool", 3, 4, call.started_ms, call.duration_ms)?;
    }
    writeln!(out, "</svg><span class=\"number\">{time}</span></div>")
}

fn scaled(time: u64, total: u64) -> u64 {
    time.saturating_mul(WIDTH) / total
}
