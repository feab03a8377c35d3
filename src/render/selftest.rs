//! `crew selftest`, as people read it: one row a case, as they end, and the verdict.

use std::io::{self, Write};

use super::paint::{BAD, FAINT, GOOD, Line, PLAIN, STRONG, WARN, paint};
use super::sanitize::inline;
use super::words::{count, millis};
use super::{Look, fit};
use crate::selftest::{CaseReport, CaseStatus, SelftestReport, SelftestStatus};

/// Columns of what was tried, where there is room; and where there is none.
const WIDEST_TITLE: usize = 46;
const NARROWEST_TITLE: usize = 12;
/// Of the numbers, with the gap before them.
const NUMBERS: [(&str, usize); 3] = [("ended in", 10), ("promised", 10), ("left", 6)];
/// Before the title.
const MARK: usize = 2;

pub fn header(look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut line = format!("{:MARK$}{:2$}", "", "what was tried", title_width(look));
    for (title, width) in NUMBERS {
        line.push_str(&format!("{title:>width$}"));
    }
    writeln!(out, "{}", paint(&line, FAINT, look.colour))?;
    out.flush()
}

pub fn row(case: &CaseReport, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let (mark, style) = match case.status {
        CaseStatus::Held => ("✓", GOOD),
        CaseStatus::Failed => ("✗", BAD),
        CaseStatus::Skipped => ("-", WARN),
    };
    let width = title_width(look);
    let title = fit::cut(&case.title, width).into_owned();
    let padding = " ".repeat(width - fit::width(&title).min(width));
    let mut line = Line::new(usize::MAX, look.colour);
    line.push(mark, style).push(" ", PLAIN).push(&title, PLAIN).push(&padding, PLAIN);
    if case.status == CaseStatus::Skipped {
        line.push("  ", PLAIN).push(case.detail.as_deref().unwrap_or("skipped"), WARN);
    } else {
        let is_late = case.stop_ms.is_some_and(|stop| stop > case.limit_ms);
        let cells = [
            (case.stop_ms.map_or("never".to_owned(), millis), if is_late { WARN } else { PLAIN }),
            (millis(case.limit_ms), FAINT),
            (case.left.len().to_string(), if case.left.is_empty() { FAINT } else { BAD }),
        ];
        for ((text, style), (_, width)) in cells.iter().zip(NUMBERS) {
            line.push(&format!("{text:>width$}"), *style);
        }
    }
    writeln!(out, "{}", line.finish())?;
    out.flush()
}

/// What did not hold and why, and what it all comes to.
pub fn verdict(
    report: &SelftestReport,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let label = paint("error", BAD, look.colour);
    for case in report.cases.iter().filter(|case| case.status == CaseStatus::Failed) {
        let name = paint(&case.name, STRONG, look.colour);
        let detail = inline(case.detail.as_deref().unwrap_or_default()).into_owned();
        writeln!(out, "\n{label} {name}: {detail}")?;
        writeln!(out, "  promised: {}; try it alone: crew selftest {}", case.promise, case.name)?;
    }
    if let Some(first) = report.left.first() {
        let number = count(report.left.len() as u64, "process", "processes");
        let command = inline(&first.command);
        writeln!(out, "\n{label}: {number} left after all, such as {} ({command})", first.pid)?;
    }
    let late = |case: &&CaseReport| {
        case.status == CaseStatus::Held && case.stop_ms.is_some_and(|stop| stop > case.limit_ms)
    };
    if let number @ 1.. = report.cases.iter().filter(late).count() {
        let (note, cases) =
            (paint("note", WARN, look.colour), count(number as u64, "case", "cases"));
        let slack = millis(report.slack_ms);
        writeln!(
            out,
            "\n{note}: {cases} took longer than promised, by less than the {slack} that a busy machine may take"
        )?;
    }
    let (held, skipped) = (report.count(CaseStatus::Held), report.count(CaseStatus::Skipped));
    let tried = count((report.cases.len() - skipped) as u64, "case", "cases");
    let skipped = match skipped {
        0 => String::new(),
        number => format!(", {number} skipped"),
    };
    let style = match report.status {
        SelftestStatus::Passed => GOOD,
        SelftestStatus::Failed => BAD,
    };
    let label = paint("crew selftest:", style, look.colour);
    writeln!(out, "\n{label} {held} of {tried} held{skipped}, in {}", millis(report.duration_ms))?;
    out.flush()
}

fn title_width(look: Look) -> usize {
    let others = MARK + NUMBERS.iter().map(|(_, width)| width).sum::<usize>();
    look.width.saturating_sub(others).clamp(NARROWEST_TITLE, WIDEST_TITLE)
}
