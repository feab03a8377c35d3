//! What a step of GitHub Actions reads: annotations, outputs and a summary.

use std::io::{self, Write};

use super::findings::{Finding, Findings, Level};
use super::markdown;
use crate::render::words;
use crate::report::{AgentReport, Report};
use crate::text::{inline, sanitize, truncate};

/// GitHub shows this many annotations of each level and step.
const MAX_ANNOTATIONS: usize = 10;
/// Of these, failed agents take at most so many, so that findings are shown as well.
const MAX_FAILURES: usize = 5;
/// Characters of an annotation.
const MAX_MESSAGE: usize = 2000;
/// Bytes of the output `answer`: the outputs of a job have 1 MB together.
const MAX_ANSWER: usize = 256 << 10;

/// The Markdown for `$GITHUB_STEP_SUMMARY`, whose file already has `used` bytes.
pub fn summary(report: &Report, used: u64) -> String {
    let used = usize::try_from(used).unwrap_or(usize::MAX);
    markdown::markdown(report, markdown::MAX_PAGE.saturating_sub(used))
}

/// The lines for `$GITHUB_OUTPUT`: `status`, and `answer` if there is one. `delimiter` is a text
/// that no model can know.
pub fn outputs(report: &Report, delimiter: &str) -> String {
    let status = words::name(report.status);
    let mut lines = format!("status={status}\n");
    if let Some(answer) = report.answer_text() {
        // A carriage return would end a line for the reader.
        let answer = sanitize(&answer);
        let answer = &answer[..answer.floor_char_boundary(MAX_ANSWER)];
        let line_end = if answer.ends_with('\n') { "" } else { "\n" };
        lines.push_str(&format!("answer<<{delimiter}\n{answer}{line_end}{delimiter}\n"));
    }
    lines
}

/// Writes workflow commands: an error for what failed, and an annotation for each finding.
pub fn annotations(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let findings = Findings::of(report);
    let failures = failures(report);
    let (failures, hidden) = failures.split_at(failures.len().min(MAX_FAILURES));
    for (title, message) in failures {
        writeln!(out, "::error title={}::{}", property(title), data(message))?;
    }
    let mut missing = hidden.len();
    for level in [Level::Error, Level::Warning, Level::Note] {
        let of_level: Vec<&Finding> =
            findings.found.iter().filter(|finding| finding.level == level).collect();
        let used = if level == Level::Error { failures.len() } else { 0 };
        let shown = of_level.len().min(MAX_ANNOTATIONS - used);
        missing += of_level.len() - shown;
        for finding in &of_level[..shown] {
            annotation(finding, out)?;
        }
    }
    for note in &findings.notes {
        writeln!(out, "::notice title=crew::{}", data(note))?;
    }
    if missing > 0 {
        writeln!(out, "{missing} more failures and findings are in the summary of this step")?;
    }
    out.flush()
}

/// Title and message of everything that made the run fail.
fn failures(report: &Report) -> Vec<(String, String)> {
    let agents = report.agents.iter().flat_map(AgentReport::with_instances);
    let failed = agents.filter(|agent| agent.status.is_failure()).filter_map(|agent| {
        let error = words::error(agent.error.as_ref()?);
        Some((format!("{}: {}", inline(&report.crew), inline(&agent.name)), error))
    });
    let fail_if = report.fail_if.as_ref().and_then(|fail_if| {
        Some((format!("{}: fail_if", inline(&report.crew)), fail_if.failure()?))
    });
    fail_if.into_iter().chain(failed).collect()
}

fn annotation(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    let command = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    };
    write!(out, "::{command} file={}", property(&finding.file))?;
    if let Some(line) = finding.line {
        write!(out, ",line={line}")?;
    }
    if let Some(line) = finding.end_line {
        write!(out, ",endLine={line}")?;
    }
    writeln!(out, ",title={}::{}", property(&finding.rule), data(&finding.message))
}

/// The message of a workflow command.
fn data(text: &str) -> String {
    let text = truncate(sanitize(text).into_owned(), MAX_MESSAGE);
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
