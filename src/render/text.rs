//! The report as text: one block per agent, in the order of the file, but for the crew's answer,
//! which comes last.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use super::agents::MAX_ROWS;
use super::json::json;
use super::markdown::{MAX_MARKDOWN, markdown};
use super::paint::{BAD, FAINT, Line, PLAIN, STRONG, WARN, paint};
use super::{Look, fit, words};
use crate::plan::ModelPlan;
use crate::report::{
    AgentKind, AgentReport, AgentStatus, CheckReport, Report, ToolCallReport, ToolStatus,
};
use crate::text::{inline, sanitize};

/// Lines of a tool's output that are shown from its head, and from its tail.
const EXCERPT_LINES: usize = 8;
/// Lines that are shown from the end of the output of a tool that failed.
const FAILED_LINES: usize = 5;
/// Columns for a tool's arguments, even where that cuts the text after them.
const MIN_ARGUMENTS: usize = 6;

/// Writes the report. Answers are written whole, without anything that controls a terminal; of a
/// structured answer, the value is written.
pub fn text(report: &Report, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    let name = report.answer_of.as_deref();
    let last = report.agents.iter().find(|agent| name == Some(&agent.name));
    let is_last = |agent: &&AgentReport| name == Some(agent.name.as_str());
    let others = report.agents.iter().filter(|agent| !is_last(agent));
    let is_needed =
        |agent: &AgentReport| report.agents.iter().any(|other| other.needs.contains(&agent.name));
    let others = others.filter(|agent| !look.brief || (last.is_none() && !is_needed(agent)));
    for (position, agent) in others.chain(last).enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        block(agent, look, &mut out)?;
        instances(agent.items.as_deref().unwrap_or_default(), look, &mut out)?;
    }
    out.flush()
}

/// The blocks of the instances. Of many, those that ended well are one line.
fn instances(items: &[AgentReport], look: Look, out: &mut impl Write) -> io::Result<()> {
    let folds = !look.verbose && items.len() > MAX_ROWS;
    let (folded, shown): (Vec<_>, Vec<_>) =
        items.iter().partition(|item| folds && item.ended_well());
    for item in &shown {
        writeln!(out)?;
        block(item, look, out)?;
    }
    if folded.is_empty() {
        return Ok(());
    }
    let (one, many) = match shown.is_empty() {
        true => ("instance", "instances"),
        false => ("more instance", "more instances"),
    };
    let count = words::count(folded.len() as u64, one, many);
    let mut line = Line::new(look.width, look.colour);
    line.push(&format!("… {count} ended well; -v shows them"), FAINT);
    writeln!(out, "\n{}", line.finish())
}

fn block(agent: &AgentReport, look: Look, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", heading(agent, look))?;
    let answer = answer(agent, look)?;
    let answer = answer.trim_end();
    if !answer.is_empty() {
        writeln!(out, "\n{answer}")?;
        if agent.partial {
            let note = "(partial: the agent ended before its answer was complete)";
            let rows = if look.wraps { fit::wrap(note, look.width) } else { vec![note] };
            rows.iter().try_for_each(|row| writeln!(out, "{}", paint(row, WARN, look.colour)))?;
        }
    }
    if let Some(error) = agent.error.as_ref().filter(|_| !look.summary_follows) {
        let label = paint("error", BAD, look.colour);
        writeln!(out, "\n{label} {}", words::error(error))?;
    }
    if !agent.tool_calls.is_empty() {
        writeln!(out)?;
    }
    for call in &agent.tool_calls {
        for line in tool_lines(call, look) {
            writeln!(out, "{line}")?;
        }
        if look.verbose {
            excerpt(&call.output, look, out)?;
        } else if matches!(call.status, ToolStatus::Failed | ToolStatus::TimedOut) {
            for line in call.last_lines(FAILED_LINES) {
                writeln!(out, "{}", quoted(line, look))?;
            }
        }
    }
    if !agent.checks.is_empty() {
        writeln!(out)?;
    }
    for check in &agent.checks {
        writeln!(out, "{}", check_line(check, look))?;
        if look.verbose {
            excerpt(&check.output, look, out)?;
        }
    }
    if let Some(step) = agent.step.as_ref().filter(|step| !step.stderr.trim().is_empty())
        && (look.verbose || agent.status != AgentStatus::Succeeded)
    {
        writeln!(out, "\n  {}", paint("stderr", STRONG, look.colour))?;
        excerpt(&step.stderr, look, out)?;
    }
    Ok(())
}

/// `  check failed in 2.1s (exit 1): 3 tests failed`, with the last line that the check printed.
fn check_line(check: &CheckReport, look: Look) -> String {
    let outcome = words::status(check.status);
    let mut details = format!(" in {}", words::millis(check.duration_ms));
    match (check.exit_code, &check.signal) {
        (_, Some(signal)) => details.push_str(&format!(" ({})", inline(signal))),
        (Some(code), None) if code != 0 => details.push_str(&format!(" (exit {code})")),
        _ => {}
    }
    let ended_by_itself = check.exit_code.is_some() || check.signal.is_some();
    let is_note = |line: &str| {
        ended_by_itself && line.starts_with('[') && check.status != ToolStatus::Succeeded
    };
    let mut lines = check.output.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    // crew's own note about the exit code, if any, comes last.
    let last = lines.next().and_then(|line| if is_note(line) { lines.next() } else { Some(line) });
    if let Some(last) = last {
        details.push_str(&format!(": {}", inline(last)));
    }
    let mut line = Line::new(look.width, look.colour);
    line.push("  ", PLAIN)
        .push("check", STRONG)
        .push(" ", PLAIN)
        .push(&outcome, words::tool_style(check.status))
        .push(&details, PLAIN);
    line.finish()
}

fn answer(agent: &AgentReport, look: Look) -> io::Result<Cow<'_, str>> {
    match &agent.data {
        // Its instances follow, each with its answer.
        _ if agent.items.is_some() => Ok(Cow::Borrowed("")),
        Some(value) if agent.status == AgentStatus::Succeeded && !are_lines(agent, value) => {
            let mut formatted = Vec::new();
            json(value, &mut formatted)?;
            Ok(String::from_utf8_lossy(&formatted).into_owned().into())
        }
        _ => Ok(match agent.output.as_deref() {
            Some(text) if look.markdown && is_markdown(agent, text) => {
                markdown(text, look.width, look.colour).into()
            }
            text => text.map(sanitize).unwrap_or_default(),
        }),
    }
}

/// Whether the value is nothing but the lines of the output, as `parse: lines` makes it.
fn are_lines(agent: &AgentReport, value: &Value) -> bool {
    let (Value::Array(values), Some(output)) = (value, &agent.output) else { return false };
    let lines = output.lines().filter(|line| !line.trim().is_empty());
    agent.kind == AgentKind::Step && lines.map(Some).eq(values.iter().map(Value::as_str))
}

/// Only models write Markdown. Steps print the output of a program, and so does `offline`.
fn is_markdown(agent: &AgentReport, text: &str) -> bool {
    let has_model = agent.kind == AgentKind::Model && agent.model != ModelPlan::Offline.label();
    has_model && text.len() <= MAX_MARKDOWN
}

fn heading(agent: &AgentReport, look: Look) -> String {
    let style = words::agent_style(agent.status);
    let mut line = Line::new(look.width, look.colour);
    line.push(words::mark(agent.status), style)
        .push(" ", PLAIN)
        .push(&inline(&agent.name), STRONG)
        .push(" ", PLAIN)
        .push(&words::status(agent.status), style);
    let mut facts = String::new();
    if agent.reused {
        facts.push_str(" in an earlier run");
    }
    if agent.started_ms.is_some() {
        facts.push_str(&format!(" in {}", words::millis(agent.duration_ms)));
    }
    if let Some(reason) = &agent.reason {
        facts.push_str(&format!(": {}", words::reason(reason)));
    }
    if let Some(tokens) = words::tokens(&agent.usage) {
        facts.push_str(&format!(", {tokens}"));
    }
    match agent.kind {
        AgentKind::Model => facts.push_str(&format!(" ({})", inline(&agent.model))),
        AgentKind::Step => facts.push_str(" (step)"),
    }
    if let Some(items) = &agent.items {
        let good = items.iter().filter(|item| item.ended_well()).count();
        facts.push_str(&format!(", {good} of {} instances ended well", items.len()));
    }
    line.push(&facts, FAINT);
    line.finish()
}

/// `  disk_usage {"path":"/"} failed in 12ms: exit 1`. Where it does not fit, the arguments are cut
/// first, then the cause gets lines of its own.
fn tool_lines(call: &ToolCallReport, look: Look) -> Vec<String> {
    let details = tool_details(call);
    let Some(cause) = call.cause().map(|cause| inline(&cause).into_owned()) else {
        return vec![tool_line(call, &details, look)];
    };
    let whole = format!("{details}: {cause}");
    let name = fit::width(&inline(&call.tool)) + words::status(call.status).len();
    if name + fit::width(&whole) + MIN_ARGUMENTS + 4 <= look.width {
        return vec![tool_line(call, &whole, look)];
    }
    let mut lines = vec![tool_line(call, &details, look)];
    let room = look.width.saturating_sub(4).max(1);
    lines.extend(fit::wrap(&cause, room).into_iter().map(|row| {
        let mut line = Line::new(look.width, look.colour);
        line.push("    ", PLAIN).push(row, PLAIN);
        line.finish()
    }));
    lines
}

fn tool_line(call: &ToolCallReport, details: &str, look: Look) -> String {
    let outcome = words::status(call.status);
    let mut line = Line::new(look.width, look.colour);
    line.push("  ", PLAIN).push(&inline(&call.tool), STRONG).push(" ", PLAIN);
    let rest = outcome.len() + fit::width(details) + 1;
    let room = line.room().saturating_sub(rest).max(MIN_ARGUMENTS.min(line.room()));
    let arguments = fit::compact(&call.arguments, look.width.saturating_mul(4));
    let arguments = fit::cut(&inline(&arguments), room).into_owned();
    line.push(&arguments, FAINT)
        .push(" ", PLAIN)
        .push(&outcome, words::tool_style(call.status))
        .push(details, PLAIN);
    line.finish()
}

/// The time, and everything unusual about the call but the cause of a failure.
fn tool_details(call: &ToolCallReport) -> String {
    if call.status == ToolStatus::Rejected {
        // Nothing ran.
        return String::new();
    }
    let mut details = format!(" in {}", words::millis(call.duration_ms));
    let mut notes = vec![];
    if let (Some(signal), None) = (&call.signal, call.cause()) {
        notes.push(inline(signal).into_owned());
    }
    if let Some(kind) = call.stopped_by {
        notes.push(format!("stopped: {}", words::cancel_kind(kind)));
    }
    if call.truncated {
        notes.push("output truncated".into());
    }
    if call.leaked {
        notes.push("left processes behind".into());
    }
    if !notes.is_empty() {
        details.push_str(&format!(" ({})", notes.join(", ")));
    }
    details
}

/// A line of a tool's output, cut to the width.
fn quoted(line: &str, look: Look) -> String {
    let mut fitted = Line::new(look.width, look.colour);
    fitted.push("    | ", FAINT).push(&sanitize(line).replace('\t', "    "), PLAIN);
    fitted.finish()
}

/// Writes the head and the tail of a tool's output, each line cut to the width.
fn excerpt(output: &str, look: Look, out: &mut impl Write) -> io::Result<()> {
    let output = sanitize(output);
    let lines: Vec<_> = output.trim_end().lines().collect();
    let hidden = lines.len().saturating_sub(2 * EXCERPT_LINES);
    let show = |line: &str| quoted(line, look);
    if hidden == 0 {
        return lines.iter().try_for_each(|line| writeln!(out, "{}", show(line)));
    }
    for line in &lines[..EXCERPT_LINES] {
        writeln!(out, "{}", show(line))?;
    }
    writeln!(out, "{}", show(&format!("… {hidden} more lines …")))?;
    for line in &lines[lines.len() - EXCERPT_LINES..] {
        writeln!(out, "{}", show(line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
