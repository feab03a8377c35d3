//! The end of a summary: what needs attention, each failure once with advice, and the last line.

use std::io::{self, Write};

use super::advice::advice;
use super::paint::{BAD, GOOD, PLAIN, STRONG, paint};
use super::prose::{Span, sentence};
use super::{Look, fit, words};
use crate::report::{
    AgentReport, AgentStatus, CancelKind, CancelReason, Cleanup, Report, RunStatus,
};
use crate::text::inline;

/// Columns of the names of agents that share an error.
const MAX_NAMES: usize = 40;
/// Columns of an error message. The report has all of it.
pub const MAX_ERROR: usize = 400;

/// Writes what went wrong in a run, or nothing if it succeeded.
pub fn errors(report: &Report, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    if report.status == RunStatus::Succeeded && report.cleanup.survivors.is_empty() {
        return Ok(());
    }
    let mut text = Vec::new();
    verdict(report, look, &mut text)?;
    // Nothing comes before it that an empty line would separate.
    out.write_all(text.trim_ascii_start())
}

/// Writes the processes that are left, the failures and the last line.
pub fn verdict(report: &Report, look: Look, out: &mut impl Write) -> io::Result<()> {
    if !report.cleanup.survivors.is_empty() {
        writeln!(out)?;
        survivors(&report.cleanup, look, out)?;
    }
    failures(&report.agents, look, out)?;
    fail_if(report, look, out)?;
    writeln!(out, "\n{}", sentence(&last_line(report), look))
}

fn survivors(cleanup: &Cleanup, look: Look, out: &mut impl Write) -> io::Result<()> {
    for survivor in &cleanup.survivors {
        let label = paint("still running", BAD, look.colour);
        let command = inline(&survivor.command);
        writeln!(out, "{label}: process {} ({})", survivor.pid, fit::cut(&command, look.width))?;
        writeln!(out, "  kill it by hand: kill -9 {}", survivor.pid)?;
    }
    Ok(())
}

/// Each error once, with its agents. Those with the same advice stand together above it.
fn failures(agents: &[AgentReport], look: Look, out: &mut impl Write) -> io::Result<()> {
    let failures = agents.iter().flat_map(AgentReport::with_instances).filter_map(|agent| {
        let error = agent.error.as_ref()?;
        let text = fit::cut(&words::error(error), MAX_ERROR).into_owned();
        Some((advice(error, agent), (text, &*agent.name)))
    });
    for (advice, failures) in words::grouped(failures) {
        writeln!(out)?;
        for (error, names) in words::grouped(failures) {
            let spans = [
                Span::new("error", BAD),
                Span::new(" ", PLAIN),
                Span::new(few(&names), STRONG),
                Span::new(format!(": {error}"), PLAIN),
            ];
            writeln!(out, "{}", sentence(&spans, look))?;
        }
        if let Some(advice) = advice {
            writeln!(out, "  {}", sentence(&[Span::new(advice, PLAIN)], look))?;
        }
    }
    Ok(())
}

/// The `fail_if` of the crew and the values that it saw, if the run fails because of it.
fn fail_if(report: &Report, look: Look, out: &mut impl Write) -> io::Result<()> {
    let Some(found) = &report.fail_if else { return Ok(()) };
    let Some(failure) = found.failure() else { return Ok(()) };
    let label = paint("fail_if", BAD, look.colour);
    writeln!(out, "\n{label} {}", inline(&failure))?;
    found.saw.iter().try_for_each(|(name, value)| {
        writeln!(out, "  {} is {}", inline(name), inline(&value.to_string()))
    })
}

/// The names that fit into a line beside an error: `a, b and 4 more`.
fn few(names: &[&str]) -> String {
    let mut room = MAX_NAMES;
    let fitting = names.iter().take_while(|name| {
        let width = fit::width(&inline(name)) + 2;
        room = room.saturating_sub(width);
        room > 0
    });
    words::names(names.iter().copied(), fitting.count().max(1))
}

fn last_line(report: &Report) -> [Span; 2] {
    let style = match report.status {
        RunStatus::Succeeded => GOOD,
        RunStatus::Failed | RunStatus::TimedOut | RunStatus::Cancelled | RunStatus::Invalid => BAD,
    };
    let label = Span::new(format!("crew {}:", inline(&report.crew)), style);
    [label, Span::new(format!(" {}", outcome(report)), PLAIN)]
}

/// `2 of 3 agents succeeded in 2.1s, 300 in, 90 out, cost 0.0123`.
pub fn outcome(report: &Report) -> String {
    let succeeded =
        report.agents.iter().filter(|agent| agent.status == AgentStatus::Succeeded).count();
    let time = words::millis(report.duration_ms);
    let all = words::count(report.agents.len() as u64, "agent", "agents");
    let mut line = match &report.reason {
        None if has_no_verdict(report) => {
            format!("{succeeded} of {all} succeeded in {time}, fail_if was not evaluated")
        }
        None => format!("{succeeded} of {all} succeeded in {time}"),
        Some(CancelReason { kind: CancelKind::FailIf, .. }) if has_no_verdict(report) => {
            format!("fail_if cannot be evaluated, {succeeded} of {all} succeeded in {time}")
        }
        Some(reason) => format!("{}: {succeeded} of {all} succeeded", cut_short(reason, &time)),
    };
    match report.agents.iter().filter(|agent| agent.reused).count() {
        0 => {}
        reused => line.push_str(&format!(", {reused} in an earlier run")),
    }
    if let Some(tokens) = words::tokens(&report.usage) {
        line.push_str(&format!(", {tokens}"));
    }
    if let Some(cost) = words::cost(report.usage.cost) {
        line.push_str(&format!(", {cost}"));
    }
    line
}

fn has_no_verdict(report: &Report) -> bool {
    report.fail_if.as_ref().is_some_and(|fail_if| fail_if.holds.is_none())
}

fn cut_short(reason: &CancelReason, time: &str) -> String {
    let why = words::reason(reason);
    match reason.kind {
        CancelKind::Interrupted | CancelKind::Terminated | CancelKind::Hangup => {
            format!("{why} after {time}")
        }
        CancelKind::Timeout => format!("timed out after {time}"),
        CancelKind::FailIf => format!("failed by fail_if after {time}"),
        CancelKind::When
        | CancelKind::AgentFailed
        | CancelKind::OutputClosed
        | CancelKind::Drained
        | CancelKind::AgentTimeout
        | CancelKind::ToolTimeout => format!("stopped after {time} because {why}"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::render::fixtures::{answered, ended_by, failed, report};
    use crate::report::{ErrorKind, Survivor};

    const LOOK: Look = Look { width: 80, ..Look::PLAIN };

    fn shown(report: &Report) -> String {
        let mut out = Vec::new();
        errors(report, LOOK, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_good_run_has_no_errors() {
        assert_eq!(shown(&report(vec![answered("a", "x")])), "");
        let text = shown(&report(vec![answered("a", "x"), failed("b", ErrorKind::Auth, "401")]));
        let expected = "error b: auth: 401\n\n\
                        crew it-support: 1 of 2 agents succeeded in 2.1s, 300 in, 90 out\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn many_names_take_one_line() {
        assert_eq!(few(&["a", "b"]), "a, b");
        let names = ["reviewer-of-module-00", "reviewer-of-module-01", "reviewer-of-module-02"];
        assert_eq!(few(&names), "reviewer-of-module-00 and 2 more");
    }

    #[test]
    fn the_last_line_names_the_reason() {
        for (kind, expected) in [
            (CancelKind::Interrupted, "interrupted by Ctrl-C after 2.1s: 0 of 1 agent succeeded"),
            (CancelKind::Terminated, "terminated by SIGTERM after 2.1s: 0 of 1 agent succeeded"),
            (CancelKind::Hangup, "ended by SIGHUP after 2.1s: 0 of 1 agent succeeded"),
            (CancelKind::Timeout, "timed out after 2.1s: 0 of 1 agent succeeded"),
            (
                CancelKind::OutputClosed,
                "stopped after 2.1s because stdout was closed: 0 of 1 agent succeeded",
            ),
        ] {
            let mut report = report(vec![ended_by("a", AgentStatus::Cancelled, kind.into())]);
            report.reason = Some(kind.into());
            let line = sentence(&last_line(&report), LOOK);
            assert_eq!(line, format!("crew it-support: {expected}"));
        }
    }

    #[test]
    fn every_survivor_is_listed() {
        let mut report = report(vec![]);
        let command = "evil\u{1b}[2J".to_owned();
        report.cleanup.survivors = vec![Survivor { pid: 42, command }];
        let text = shown(&report);
        let expected = "still running: process 42 (evil)\n  kill it by hand: kill -9 42\n";
        assert!(text.contains(expected), "{text}");
    }
}
