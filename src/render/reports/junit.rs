//! The report as JUnit's XML: a suite for the crew, a case for each agent and each instance.

use std::collections::HashSet;
use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::render::words;
use crate::report::{AgentReport, AgentStatus, ErrorKind, FailIfReport, Report, RunStatus};
use crate::text::{inline, sanitize};

/// Bytes of all outputs together. Servers read 30 MB of one file, and escapes take up to 6 times as
/// many bytes as the characters they stand for.
const MAX_OUTPUT: usize = 4 << 20;
/// Bytes of one output.
const MAX_CASE_OUTPUT: usize = 64 << 10;

pub fn junit(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let name = xml(&inline(&report.crew));
    let mut document = Document::new(name.as_str());
    document.set_time(Duration::from_millis(report.duration_ms));
    let mut suite = TestSuite::new(name.as_str());
    suite.timestamp = report.started_at.parse().ok();
    suite.set_time(Duration::from_millis(report.duration_ms));
    let agents: Vec<&AgentReport> =
        report.agents.iter().flat_map(AgentReport::with_instances).collect();
    let limit = (MAX_OUTPUT / agents.len().max(1)).min(MAX_CASE_OUTPUT);
    let mut taken = HashSet::new();
    for agent in agents {
        let name = unique(xml(&inline(&agent.name)), &mut taken);
        suite.add_test_case(case(agent, &name, &report.crew, limit));
    }
    if let Some(fail_if) = &report.fail_if {
        let name = unique("fail_if".to_owned(), &mut taken);
        let mut case = TestCase::new(name, gate(fail_if, report.status));
        case.set_classname(xml(&inline(&report.crew)));
        suite.add_test_case(case);
    }
    document.add_test_suite(suite);
    write(&document, out)
}

/// Writes a document that fits the schema of Jenkins's xUnit plugin too: there the root counts no
/// skipped cases, only suites do.
pub(super) fn write(document: &Document, out: &mut dyn Write) -> io::Result<()> {
    let text = document.to_string().map_err(io::Error::other)?;
    // No value of an attribute contains a quotation mark.
    let (before, rest) = text.split_once(" skipped=\"").unwrap_or((&text, ""));
    let after = rest.split_once('"').map_or("", |(_, after)| after);
    out.write_all(before.as_bytes())?;
    out.write_all(after.as_bytes())
}

fn case(agent: &AgentReport, name: &str, crew: &str, limit: usize) -> TestCase {
    let mut case = TestCase::new(name, status(agent));
    case.set_classname(xml(&inline(crew)));
    case.set_time(Duration::from_millis(agent.duration_ms));
    if let Some(output) = agent.output.as_ref().filter(|output| !output.is_empty()) {
        case.set_system_out(cut(output, limit));
    }
    if let Some(step) = agent.step.as_ref().filter(|step| !step.stderr.is_empty()) {
        case.set_system_err(cut(&step.stderr, limit));
    }
    case
}

/// Some readers show the attribute only and others the text only, so each has the whole message.
fn status(agent: &AgentReport) -> TestCaseStatus {
    let Some((kind, message)) = agent.failure() else { return TestCaseStatus::success() };
    let message = match &agent.reason {
        None => message,
        Some(reason) => format!("{}: {}", words::status(agent.status), words::reason(reason)),
    };
    let mut status = match agent.status {
        AgentStatus::Skipped => TestCaseStatus::skipped(),
        AgentStatus::Succeeded | AgentStatus::Failed if !is_internal(agent) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        _ => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    status.set_type(xml(&kind)).set_message(xml(&inline(&message)));
    status.set_description(xml(&sanitize(&message)));
    status
}

fn is_internal(agent: &AgentReport) -> bool {
    agent.error.as_ref().is_some_and(|error| error.kind == ErrorKind::Internal)
}

/// The crew's `fail_if` as a case: otherwise a run that it fails would have no failure.
fn gate(fail_if: &FailIfReport, status: RunStatus) -> TestCaseStatus {
    let Some(mut message) = fail_if.failure() else {
        if fail_if.holds.is_some() {
            return TestCaseStatus::success();
        }
        let mut skipped = TestCaseStatus::skipped();
        skipped.set_message(format!("not evaluated: the run {}", words::status(status)));
        return skipped;
    };
    message.extend(fail_if.saw.iter().map(|(name, value)| format!("\n{name} is {value}")));
    let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
    failed.set_type("fail_if").set_message(xml(&inline(&message)));
    failed.set_description(xml(&sanitize(&message)));
    failed
}

/// Readers drop cases with equal names.
fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut unique = name.clone();
    let mut number = 2;
    while !taken.insert(unique.clone()) {
        unique = format!("{name}#{number}");
        number += 1;
    }
    unique
}

/// The beginning of a text.
fn cut(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    let more = if end < text.len() { "\n[cut; the JSON report has all of it]" } else { "" };
    xml(&sanitize(&text[..end])) + more
}

/// Without the two characters that XML 1.0 forbids beside the controls, which are already gone.
pub(super) fn xml(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}
