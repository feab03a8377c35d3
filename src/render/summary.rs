//! The outcome of a run for the person who started it: a table of the agents, notes, and finally
//! the errors and what to do about them.

use std::io::{self, Write};

use super::agents::agents;
use super::paint::{PLAIN, WARN};
use super::prose::{Span, sentence};
use super::verdict::{MAX_ERROR, verdict};
use super::{Look, fit, words};
use crate::report::{AgentReport, AgentStatus, CancelReason, Cleanup, Report};
use crate::text::inline;

/// Agents that one line names before it ends with `and 4 more`.
const MAX_NAMES: usize = 8;
const GUARDIAN_LOST: &str =
    "the guardian process was killed during the run; crew supervised the tools without it";
/// Shorter times in a queue are not mentioned.
const MIN_QUEUED_MS: u64 = 1000;

/// Writes the summary, which is the same for every format of the report.
pub fn summary(report: &Report, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    for line in agents(&report.agents, look.width, look.colour) {
        writeln!(out, "{line}")?;
    }
    let everyone: Vec<&AgentReport> =
        report.agents.iter().flat_map(AgentReport::with_instances).collect();
    let noted = everyone
        .iter()
        .flat_map(|agent| notes(agent, look).into_iter().map(|note| (note, &*agent.name)));
    let mut notes = by_agents(noted);
    notes.extend(queued(&everyone));
    notes.extend(by_agents(stopped(&everyone, report.reason.as_ref())));
    notes.extend(cleaned_up(&report.cleanup));
    if report.cleanup.guardian_lost {
        notes.push(GUARDIAN_LOST.to_owned());
    }
    if !notes.is_empty() {
        writeln!(out)?;
    }
    for note in notes {
        let spans = [Span::new("note", WARN), Span::new(format!(": {note}"), PLAIN)];
        writeln!(out, "{}", sentence(&spans, look))?;
    }
    verdict(report, look, &mut out)?;
    out.flush()
}

/// A line for each note, with the names of its agents.
fn by_agents<'a>(notes: impl IntoIterator<Item = (String, &'a str)>) -> Vec<String> {
    let line = |(note, names)| format!("{}: {note}", words::names(names, MAX_NAMES));
    words::grouped(notes).into_iter().map(line).collect()
}

/// Everything unusual about one agent besides its status.
fn notes(agent: &AgentReport, look: Look) -> Vec<String> {
    let mut notes = vec![];
    if agent.status == AgentStatus::Succeeded && agent.finish_reason.as_deref() == Some("length") {
        notes.push("answer cut off at the length limit; raise `max_output_tokens`".to_owned());
    }
    if agent.partial && agent.output.is_some() && !look.report_precedes {
        notes.push("answer is partial: the agent ended before it was complete".to_owned());
    }
    notes.extend(agent.notes.iter().map(|note| inline(note).into_owned()));
    for failed in &agent.fallbacks {
        let error = fit::cut(&words::error(&failed.error), MAX_ERROR).into_owned();
        notes.push(format!("{} failed, tried another model: {error}", inline(&failed.model)));
    }
    let mut leaky: Vec<&str> =
        agent.tool_calls.iter().filter(|call| call.leaked).map(|call| &*call.tool).collect();
    leaky.sort_unstable();
    leaky.dedup();
    if !leaky.is_empty() {
        let tools = words::names(leaky, MAX_NAMES);
        notes.push(format!("{tools} left processes behind; crew stopped them"));
    }
    notes
}

/// The agents whose model calls were queued for long.
fn queued(agents: &[&AgentReport]) -> Option<String> {
    let waited = agents.iter().filter(|agent| agent.queued_ms >= MIN_QUEUED_MS);
    let longest = waited.clone().map(|agent| agent.queued_ms).max()?;
    let names = words::names(waited.map(|agent| &*agent.name), MAX_NAMES);
    let longest = words::millis(longest);
    Some(format!("{names}: model calls were queued for up to {longest}"))
}

/// The agents that were cancelled or skipped, by reason. That of the run is in the last line.
fn stopped<'a>(
    agents: &[&'a AgentReport],
    of_run: Option<&CancelReason>,
) -> impl Iterator<Item = (String, &'a str)> {
    let is_stopped =
        |agent: &AgentReport| matches!(agent.status, AgentStatus::Cancelled | AgentStatus::Skipped);
    agents.iter().filter(move |agent| is_stopped(agent)).filter_map(move |agent| {
        let reason = agent.reason.as_ref().filter(|reason| Some(*reason) != of_run)?;
        let note = format!("{} ({})", words::status(agent.status), words::reason(reason));
        Some((note, &*agent.name))
    })
}

fn cleaned_up(cleanup: &Cleanup) -> Option<String> {
    let done = [
        (cleanup.model_calls_cancelled, "model call cancelled", "model calls cancelled"),
        (cleanup.http_calls_cancelled, "HTTP request cancelled", "HTTP requests cancelled"),
        (cleanup.processes_stopped, "process stopped", "processes stopped"),
        (cleanup.processes_killed, "process killed", "processes killed"),
    ];
    let done = done.into_iter().filter(|(number, ..)| *number > 0);
    let mut done: Vec<_> =
        done.map(|(number, one, many)| words::count(number, one, many)).collect();
    if done.is_empty() {
        return None;
    }
    done.push(match cleanup.survivors.len() as u64 {
        0 => "nothing left".to_owned(),
        left => words::count(left, "process still running", "processes still running"),
    });
    Some(format!("cleaned up in {}: {}", words::millis(cleanup.duration_ms), done.join(", ")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::render::fixtures::{
        answered, ended_by, failed, report, timed_out, tool_call, with_calls,
    };
    use crate::report::{CancelKind, ErrorKind};

    const LOOK: Look = Look { width: 80, ..Look::PLAIN };

    fn shown(report: &Report, look: Look) -> String {
        let mut out = Vec::new();
        summary(report, look, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_good_run_is_a_table_and_a_line() {
        let expected = "\
agent  status       model               turns  tools  tokens in  out  time
disk   ✓ succeeded  openai/gpt-4o-mini      2      0        300   90  1.8s

crew it-support: 1 of 1 agent succeeded in 2.1s, 300 in, 90 out
";
        assert_eq!(shown(&report(vec![answered("disk", "x")]), LOOK), expected);
    }

    #[test]
    fn no_agents_is_a_line() {
        let expected = "\ncrew it-support: 0 of 0 agents succeeded in 2.1s\n";
        assert_eq!(shown(&report(vec![]), LOOK), expected);
    }

    #[test]
    fn notes_come_first_and_failures_last() {
        let mut cut = answered("disk", "and so");
        cut.finish_reason = Some("length".into());
        let mut leaky = tool_call();
        leaky.leaked = true;
        let mut report = report(vec![
            with_calls(cut, vec![leaky.clone(), leaky]),
            timed_out("net"),
            failed("cpu", ErrorKind::Auth, "401 no\u{1b}[2J\nkey"),
            failed("mem", ErrorKind::Auth, "401 no\u{1b}[2J\nkey"),
            ended_by("a", AgentStatus::Skipped, CancelReason::agent_failed("net")),
            ended_by("b", AgentStatus::Skipped, CancelReason::agent_failed("net")),
            ended_by("c", AgentStatus::Cancelled, CancelReason::agent_failed("net")),
        ]);
        report.reason = Some(CancelReason::agent_failed("net"));
        report.cleanup = Cleanup {
            model_calls_cancelled: 1,
            http_calls_cancelled: 3,
            processes_stopped: 2,
            processes_killed: 0,
            survivors: vec![],
            guardian_lost: true,
            duration_ms: 14,
        };
        let expected = "
note: disk: answer cut off at the length limit; raise `max_output_tokens`
note: disk: disk_usage left processes behind; crew stopped them
note: net: answer is partial: the agent ended before it was complete
note: cleaned up in 14ms: 1 model call cancelled, 3 HTTP requests cancelled, 2 processes stopped, nothing left
note: the guardian process was killed during the run; crew supervised the tools without it

error net: timeout (agent): no answer within 30s
  raise the agent's `timeout`, or use a faster model

error cpu, mem: auth: 401 no key

crew it-support: stopped after 2.1s because net failed: 1 of 7 agents succeeded, 300 in, 90 out
";
        let text = shown(&report, LOOK);
        assert_eq!(text.split_once("\n\n").unwrap().1, &expected[1..]);
    }

    #[test]
    fn the_reason_of_the_run_is_said_once() {
        let mut report = report(vec![
            ended_by("a", AgentStatus::Cancelled, CancelKind::Interrupted.into()),
            timed_out("b"),
            ended_by("c", AgentStatus::Skipped, CancelReason::agent_failed("b")),
            ended_by("d", AgentStatus::Skipped, CancelKind::Interrupted.into()),
        ]);
        report.reason = Some(CancelKind::Interrupted.into());
        let text = shown(&report, LOOK);
        assert_eq!(text.matches("Ctrl-C").count(), 1, "{text}");
        assert!(text.contains("note: b: answer is partial"), "{text}");
        let below = shown(&report, Look { report_precedes: true, ..LOOK });
        assert!(!below.contains("partial") && below.contains("note: c: skipped (b failed)\n"));
    }

    #[test]
    fn agents_that_end_alike_share_a_note() {
        let agents: Vec<_> = (0..200).map(|number| timed_out(&format!("a{number}"))).collect();
        let text = shown(&report(agents), LOOK);
        let notes: Vec<_> = text.lines().filter(|line| line.starts_with("note: ")).collect();
        let expected = "note: a0, a1, a2, a3, a4, a5, a6, a7 and 192 more: answer is partial: the \
                        agent ended before it was complete";
        assert_eq!(notes, [expected]);
        assert_eq!(text.matches("\nerror ").count(), 1);
    }

    #[test]
    fn colours_change_no_text() {
        let mut report = report(vec![answered("disk", "x"), timed_out("net")]);
        report.crew = "it\u{1b}[2J-\nsupport".into();
        let coloured = shown(&report, Look { colour: true, ..LOOK });
        let plain = shown(&report, LOOK);
        assert!(coloured.contains("\u{1b}[") && !plain.contains('\u{1b}'));
        assert_eq!(crate::text::sanitize(&coloured), plain);
    }
}
