//! The report as a page of Markdown that fits into the summary of a CI step.

use serde::de::IgnoredAny;

use super::defuse;
use super::findings::{Finding, Findings};
use crate::render::{verdict, words};
use crate::report::{AgentReport, AgentStatus, Cost, FailIfReport, Report};
use crate::text::inline;

/// The most that GitHub takes for one step, in bytes.
pub const MAX_PAGE: usize = 1 << 20;
/// Bytes of one answer.
const MAX_ANSWER: usize = 200 << 10;
/// Bytes of an answer that is not folded.
const MAX_OPEN: usize = 32 << 10;
/// Rows of a table.
const MAX_ROWS: usize = 500;
/// Rows of a table that is not folded.
const MAX_OPEN_ROWS: usize = 25;
/// Bytes that are kept for the note about what was left out.
const RESERVE: usize = 200;

/// The page, of at most `limit` bytes.
pub fn markdown(report: &Report, limit: usize) -> String {
    let mut page = Page { text: String::new(), left: limit.saturating_sub(RESERVE), missing: 0 };
    page.push(&headline(report));
    page.push(&failures(report));
    if let Some(answer) = report.answer_text() {
        let block = answer_block(&answer);
        let block = if block.len() > MAX_OPEN { folded("all of it", &block) } else { block };
        page.push(&format!("### Answer\n\n{block}\n\n"));
    }
    page.push(&findings(report));
    page.push(&agents(report));
    for agent in report.agents.iter().flat_map(AgentReport::with_instances) {
        let is_answer = report.answer_of.as_ref() == Some(&agent.name);
        if !is_answer && agent.items.is_none() {
            page.push(&details(agent));
        }
    }
    page.end(limit)
}

/// A page that takes whole parts as long as they fit.
struct Page {
    text: String,
    /// Bytes.
    left: usize,
    /// Parts.
    missing: usize,
}

impl Page {
    fn push(&mut self, part: &str) {
        match self.left.checked_sub(part.len()) {
            Some(left) => {
                self.text.push_str(part);
                self.left = left;
            }
            None => self.missing += 1,
        }
    }

    fn end(mut self, limit: usize) -> String {
        if self.missing > 0 {
            let parts = words::count(self.missing as u64, "part is", "parts are");
            let note = format!("_Cut: {parts} missing. The JSON report has everything._\n");
            if self.text.len() + note.len() <= limit {
                self.text.push_str(&note);
            }
        }
        self.text
    }
}

fn headline(report: &Report) -> String {
    let mark = if report.exit_code == 0 { "✓" } else { "✗" };
    let crew = defuse::line(&report.crew);
    let mut line = format!("## {mark} crew {crew}: {}\n\n", words::status(report.status));
    line.push_str(&verdict::outcome(report));
    line.push_str("\n\n");
    line
}

fn failures(report: &Report) -> String {
    let mut items = Vec::new();
    if let Some(failure) = report.fail_if.as_ref().and_then(FailIfReport::failure) {
        items.push(format!("`fail_if` {}", defuse::line(&failure)));
    }
    for agent in report.agents.iter().flat_map(AgentReport::with_instances) {
        if let Some(error) = &agent.error {
            let (name, error) = (defuse::line(&agent.name), defuse::line(&words::error(error)));
            items.push(format!("**{name}**: {error}"));
        }
    }
    section("Failures", &items.iter().map(|item| format!("- {item}")).collect::<Vec<_>>(), &[])
}

fn findings(report: &Report) -> String {
    let findings = Findings::of(report);
    let row = |finding: &Finding| {
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = format!("{}{line}", finding.file);
        let cells = [&*finding.level.to_string(), &place, &finding.rule, &finding.message];
        row(cells.map(defuse::line).into())
    };
    let rows: Vec<String> = findings.found.iter().map(row).collect();
    let head =
        ["| level | place | rule | message |".to_owned(), "| --- | --- | --- | --- |".to_owned()];
    let table = section("Findings", &rows, &head);
    let notes = findings.notes.iter().map(|note| format!("{note}\n\n"));
    table + &notes.collect::<String>()
}

/// The table of the agents, without columns that are empty.
fn agents(report: &Report) -> String {
    let cells = |agent: &AgentReport| {
        let calls = agent.usage.tool_calls;
        [
            words::mark(agent.status).to_owned(),
            defuse::line(&agent.name),
            words::status(agent.status),
            defuse::line(&agent.model),
            agent.started_ms.map(|_| words::millis(agent.duration_ms)).unwrap_or_default(),
            words::tokens(&agent.usage).unwrap_or_default(),
            if calls > 0 { calls.to_string() } else { String::new() },
            cost(agent.usage.cost),
        ]
    };
    let all: Vec<[String; 8]> =
        report.agents.iter().flat_map(AgentReport::with_instances).map(cells).collect();
    let titles = ["", "agent", "status", "model", "time", "tokens", "tools", "cost"];
    let lines = ["---", "---", "---", "---", "--:", "--:", "--:", "--:"];
    let is_used: [bool; 8] = std::array::from_fn(|at| all.iter().any(|row| !row[at].is_empty()));
    let used = |cells: [String; 8]| {
        let cells =
            cells.into_iter().zip(is_used).filter_map(|(cell, is_used)| is_used.then_some(cell));
        row(cells.collect())
    };
    let head = [titles, lines].map(|cells| used(cells.map(str::to_owned)));
    let rows: Vec<String> = all.into_iter().map(used).collect();
    section("Agents", &rows, &head)
}

fn cost(cost: Cost) -> String {
    let unpriced = if cost.unpriced_calls > 0 { "> " } else { "" };
    cost.known.map(|known| format!("{unpriced}{}", words::amount(known))).unwrap_or_default()
}

fn row(cells: Vec<String>) -> String {
    format!("| {} |", cells.join(" | "))
}

/// A heading with lines below, or nothing without lines.
fn section(title: &str, lines: &[String], head: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let shown = &lines[..lines.len().min(MAX_ROWS)];
    let text = [head, shown].concat().join("\n");
    let text = match shown.len() > MAX_OPEN_ROWS {
        true => folded(&format!("{} rows", shown.len()), &text),
        false => text,
    };
    let more = match lines.len() - shown.len() {
        0 => String::new(),
        more => format!("_{more} more are not shown._\n\n"),
    };
    format!("### {title}\n\n{text}\n\n{more}")
}

/// The output of an agent, and of a step that failed also its stderr.
fn details(agent: &AgentReport) -> String {
    let output = agent.output.as_ref().filter(|output| !output.trim().is_empty());
    let mut parts: Vec<String> = output.map(|output| answer_block(output)).into_iter().collect();
    let step = agent.step.as_ref().filter(|_| agent.status.is_failure());
    if let Some(step) = step.filter(|step| !step.stderr.trim().is_empty()) {
        let end = step.stderr.floor_char_boundary(MAX_ANSWER);
        parts.push(format!("stderr:\n\n{}", defuse::fenced(&step.stderr[..end])));
    }
    if parts.is_empty() {
        return String::new();
    }
    let name = escape(&agent.name);
    let partial = if agent.partial { " (partial)" } else { "" };
    let mark = if agent.status == AgentStatus::Succeeded { "" } else { "✗ " };
    let title = format!("{mark}{name}{partial}");
    folded(&title, &parts.join("\n\n")) + "\n\n"
}

fn folded(title: &str, text: &str) -> String {
    format!("<details><summary>{title}</summary>\n\n{text}\n\n</details>")
}

fn answer_block(answer: &str) -> String {
    let end = answer.floor_char_boundary(MAX_ANSWER);
    let more = if end < answer.len() { "\n\n_Cut: the JSON report has all of it._" } else { "" };
    let is_json =
        answer.starts_with(['{', '[']) && serde_json::from_str::<IgnoredAny>(answer).is_ok();
    let block =
        if is_json { defuse::fenced(&answer[..end]) } else { defuse::block(&answer[..end]) };
    block + more
}

/// Text within HTML.
fn escape(text: &str) -> String {
    inline(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
