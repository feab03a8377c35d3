//! The report as text: one block per agent, in the order of the file, but for the crew's answer,
//! which comes last.

use std::borrow::Cow;
use std::io::{self, Write};

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
    let is_last = |agent: &&AgentReport| last.is_some_and(|last| std::ptr::eq(last, *agent));
    let others = report.agents.iter().filter(|agent| !is_last(agent));
    for (position, agent) in others.chain(last).enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        block(agent, look, &mut out)?;
        for item in agent.items.iter().flatten() {
            writeln!(out)?;
            block(item, look, &mut out)?;
        }
    }
    out.flush()
}

fn block(agent: &AgentReport, look: Look, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", heading(agent, look))?;
    let answer = answer(agent, look)?;
    let answer = answer.trim_end();
    if !answer.is_empty() {
        writeln!(out, "\n{answer}")?;
        if agent.partial {
            let note = "(partial: the agent ended before its answer was complete)";
            writeln!(out, "{}", paint(note, WARN, look.colour))?;
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
    if let Some(last) = check.output.lines().rev().find(|line| !line.trim().is_empty()) {
        details.push_str(&format!(": {}", inline(last.trim())));
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
        Some(value) if agent.status == AgentStatus::Succeeded => {
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

/// The answers of `offline` are the outputs of tools, whose lines mean something.
fn is_markdown(agent: &AgentReport, text: &str) -> bool {
    agent.model != ModelPlan::Offline.label() && text.len() <= MAX_MARKDOWN
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
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::fixtures::{
        answered, ended_by, failed, report, timed_out, tool_call, with_calls,
    };
    use crate::report::{CancelKind, CancelReason, ErrorKind};

    const LOOK: Look = Look { width: 80, ..Look::PLAIN };

    fn shown(agents: Vec<AgentReport>, look: Look) -> String {
        let mut out = Vec::new();
        text(&report(agents), look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_ending_has_its_block() {
        let agents = vec![
            with_calls(answered("disk", "The disk is full.\n\n"), vec![tool_call()]),
            timed_out("net"),
            failed("cpu", ErrorKind::Auth, "401 Unauthorized\nbad key"),
            ended_by("mem", AgentStatus::Cancelled, CancelKind::Interrupted.into()),
            ended_by("summary", AgentStatus::Skipped, CancelReason::agent_failed("net")),
        ];
        let expected = r#"✓ disk succeeded in 1.8s, 300 in, 90 out (openai/gpt-4o-mini)

The disk is full.

  disk_usage {"path":"/"} succeeded in 12ms

✗ net timed out in 30.0s (openai/gpt-4o-mini)

text streamed so far
(partial: the agent ended before its answer was complete)

error timeout (agent): no answer within 30s

✗ cpu failed in 210ms (openai/gpt-4o-mini)

error auth: 401 Unauthorized bad key

- mem cancelled: interrupted by Ctrl-C (openai/gpt-4o-mini)

- summary skipped: net failed (openai/gpt-4o-mini)
"#;
        assert_eq!(shown(agents, LOOK), expected);
        assert_eq!(shown(vec![], LOOK), "");
    }

    #[test]
    fn hostile_text_cannot_control_the_terminal() {
        let mut agent = answered("disk", "a\u{1b}[2Jb\r\n\u{1b}]0;t\u{7}c\u{202e}d\n");
        agent.model = "x/\u{1b}[31m\ny".into();
        let call = ToolCallReport {
            tool: "rm\u{1b}[8m\n-rf".into(),
            arguments: json!({"\u{9b}31m": "\u{1b}[0m\n\u{202e}"}),
            status: ToolStatus::Rejected,
            output: "[not run: no tool \u{1b}[1mrm\u{1b}[0m; there are: disk_usage]".into(),
            exit_code: None,
            signal: Some("\u{1b}c".into()),
            ..tool_call()
        };
        let verbose = Look { verbose: true, ..LOOK };
        let expected = r#"✓ disk succeeded in 1.8s, 300 in, 90 out (x/ y)

ab
cd

  rm -rf {"":"\u001b[0m\n"} rejected: no tool rm; there are: disk_usage
    | [not run: no tool rm; there are: disk_usage]
"#;
        assert_eq!(shown(vec![with_calls(agent, vec![call])], verbose), expected);
    }

    #[test]
    fn a_structured_answer_is_formatted() {
        let mut agent = answered("triage", "```json\n{\"severity\":\"high\\u001b[2J\"}\n```");
        agent.data = Some(json!({"severity": "high\u{1b}[2J\u{202e}", "parts": [1]}));
        let text = shown(vec![agent.clone()], LOOK);
        let formatted =
            "\n{\n  \"severity\": \"high\\u001b[2J\\u202e\",\n  \"parts\": [\n    1\n  ]\n}\n";
        assert!(text.ends_with(formatted), "{text}");
        // Without a value, the text of the model is shown.
        agent.data = Some(json!(null));
        agent.status = AgentStatus::Failed;
        assert!(shown(vec![agent], LOOK).contains("```json"));
    }

    #[test]
    fn everything_unusual_about_a_tool_call_is_shown() {
        let call = ToolCallReport {
            status: ToolStatus::TimedOut,
            exit_code: None,
            signal: Some("SIGTERM".into()),
            truncated: true,
            leaked: true,
            stopped_by: Some(CancelKind::ToolTimeout),
            ..tool_call()
        };
        let line = tool_lines(&call, Look { width: 200, ..LOOK }).concat();
        assert_eq!(
            line,
            "  disk_usage {\"path\":\"/\"} timed out in 12ms (SIGTERM, stopped: tool timeout, \
             output truncated, left processes behind)"
        );
        let call = ToolCallReport { status: ToolStatus::Failed, exit_code: Some(2), ..tool_call() };
        let call = ToolCallReport { output: "a\nerror: boom\n[exit code 2]".into(), ..call };
        let expected = "  disk_usage {\"path\":\"/\"} failed in 12ms: exit 2: error: boom";
        assert_eq!(tool_lines(&call, LOOK), [expected]);
        let narrow = tool_lines(&call, Look { width: 40, ..LOOK });
        assert_eq!(
            narrow,
            ["  disk_usage {\"path\":\"/\"} failed in 12ms", "    exit 2: error: boom"]
        );
        let text = shown(vec![with_calls(answered("disk", ""), vec![call])], LOOK);
        assert!(text.ends_with("error: boom\n    | a\n    | error: boom\n"), "{text}");
    }

    #[test]
    fn headings_and_tool_lines_are_cut_but_answers_are_not() {
        let answer = "wide: ".to_owned() + &"あ".repeat(60);
        let mut call = tool_call();
        call.arguments = json!({"path": "ディレクトリ".repeat(100)});
        call.output = "あ".repeat(100);
        let agent = with_calls(answered(&"n".repeat(64), &answer), vec![call]);
        for width in [0, 1, 5, 20, 40, 80] {
            for colour in [false, true] {
                let text =
                    shown(vec![agent.clone()], Look { width, colour, verbose: true, ..LOOK });
                for line in text.lines().filter(|line| *line != answer) {
                    assert!(fit::width(&sanitize(line)) <= width, "{width}: {line}");
                }
                assert!(text.contains(&format!("\n{answer}\n")));
            }
        }
        let narrow = shown(vec![agent], Look { width: 40, ..LOOK });
        assert!(narrow.contains("\n  disk_usage {\"path\":… succeeded in 12ms\n"), "{narrow}");
    }

    #[test]
    fn long_outputs_show_head_and_tail() {
        let output: String = (1..=20).map(|n| format!("{n}\tx\n")).collect();
        let call = ToolCallReport { output, ..tool_call() };
        let text = shown(
            vec![with_calls(answered("disk", ""), vec![call])],
            Look { verbose: true, ..LOOK },
        );
        assert!(text.contains("    | 8    x\n    | … 4 more lines …\n    | 13    x\n"), "{text}");
        assert!(text.ends_with("    | 20    x\n"));
    }

    #[test]
    fn colours_are_used_on_request() {
        let look = Look { colour: true, ..LOOK };
        let text = shown(vec![answered("disk", "x")], look);
        assert!(text.starts_with("\u{1b}[32m✓\u{1b}[0m \u{1b}[1mdisk\u{1b}[0m "), "{text:?}");
    }
}
