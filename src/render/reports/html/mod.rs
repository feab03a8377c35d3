//! The report as one page of HTML: no network, no script, light and dark.

mod agent;
mod escape;
mod timeline;

use std::io::{self, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use self::agent::agent;
use self::escape::{Inline, Text};
use self::timeline::timeline;
use super::findings::Findings;
use crate::render::{verdict, words};
use crate::report::{AgentReport, Report};
use crate::text::digest::sha256;

const STYLE: &str = include_str!("style.css");
/// Rows of the table of findings.
const MAX_FINDINGS: usize = 2000;

pub fn html(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let mut out = io::BufWriter::new(out);
    head(report, &mut out)?;
    overview(report, &mut out)?;
    if let Some(answer) = report.answer_text() {
        writeln!(out, "<h2>Answer</h2>\n<div class=\"text\" dir=\"auto\">{}</div>", Text(&answer))?;
    }
    findings(&Findings::of(report), &mut out)?;
    timeline(report, &mut out)?;
    writeln!(out, "<h2>Agents</h2>")?;
    for shown in report.agents.iter().flat_map(AgentReport::with_instances) {
        agent(shown, &mut out)?;
    }
    writeln!(
        out,
        "<h2>Input</h2>\n<div class=\"text\" dir=\"auto\">{}</div>",
        Text(&report.input)
    )?;
    let (run, start) = (Inline(&report.run_id), Inline(&report.started_at));
    let version = env!("CARGO_PKG_VERSION");
    writeln!(
        out,
        "<p class=\"dim\">Run {run}, started {start}. crew {version}</p>\n</body>\n</html>"
    )?;
    out.flush()
}

fn head(report: &Report, out: &mut impl Write) -> io::Result<()> {
    // Only this style applies, whatever a text in the page contains.
    let hash = STANDARD.encode(sha256(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'"
    );
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>crew {}: {}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        Inline(&report.crew),
        words::status(report.status),
    )
}

fn overview(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let (crew, class) = (Inline(&report.crew), words::name(report.status));
    let status = words::status(report.status);
    writeln!(out, "<h1>crew {crew}: <span class=\"{class}\">{status}</span></h1>")?;
    let outcome = verdict::outcome(report);
    writeln!(out, "<p class=\"dim\">{}, exit code {}</p>", Inline(&outcome), report.exit_code)?;
    let Some(fail_if) = &report.fail_if else { return Ok(()) };
    let verdict = fail_if.failure().unwrap_or_else(|| {
        let verdict = if fail_if.holds.is_some() { "does not hold" } else { "was not evaluated" };
        format!("{verdict}: {}", fail_if.expression)
    });
    writeln!(out, "<p>fail_if {}</p>", Inline(&verdict))
}

fn findings(findings: &Findings, out: &mut impl Write) -> io::Result<()> {
    if findings.found.is_empty() && findings.notes.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Findings</h2>\n<div class=\"scroll\"><table>")?;
    writeln!(out, "<tr><th>Level</th><th>Place</th><th>Rule</th><th>Message</th></tr>")?;
    for finding in findings.found.iter().take(MAX_FINDINGS) {
        let (level, file) = (finding.level, Inline(&finding.file));
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let (rule, message) = (Inline(&finding.rule), Inline(&finding.message));
        writeln!(
            out,
            "<tr><td class=\"{level}\">{level}</td><td class=\"name\">{file}{line}</td>\
             <td class=\"rule\">{rule}</td><td>{message}</td></tr>"
        )?;
    }
    writeln!(out, "</table></div>")?;
    let hidden = findings.found.len().saturating_sub(MAX_FINDINGS);
    let hidden = (hidden > 0).then(|| format!("{hidden} more findings are not shown"));
    let mut notes = findings.notes.iter().chain(&hidden);
    notes.try_for_each(|note| writeln!(out, "<p class=\"dim\">{}</p>", Inline(note)))
}
