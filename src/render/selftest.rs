//! `crew selftest` as text: one row per finished case, and the verdict.

use std::io::{self, Write};

use super::paint::{BAD, FAINT, GOOD, Line, PLAIN, STRONG, WARN, paint};
use super::words::{count, millis};
use super::{Look, fit};
use crate::selftest::{CaseReport, CaseStatus, SelftestReport, SelftestStatus};
use crate::text::inline;

/// The width of a title, in columns.
const MAX_TITLE: usize = 46;
const MIN_TITLE: usize = 14;
/// The columns of numbers with their widths, including the gap before them.
const NUMBERS: [(&str, usize); 3] = [("took", 10), ("limit", 10), ("survivors", 11)];
/// The width of the mark before the title.
const MARK: usize = 2;

pub fn header(look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let mut line = format!("{:MARK$}{:2$}", "", "case", title_width(look));
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

/// The failed cases with their reasons, and the totals.
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
        writeln!(out, "  promise: {}; run it alone: crew selftest {}", case.promise, case.name)?;
    }
    if let Some(first) = report.left.first() {
        let number = count(report.left.len() as u64, "process", "processes");
        let command = inline(&first.command);
        writeln!(
            out,
            "\n{label}: {number} still alive at the end, such as {} ({command})",
            first.pid
        )?;
    }
    let held = || report.cases.iter().filter(|case| case.status == CaseStatus::Held);
    let label = paint("note", WARN, look.colour);
    let late = held().filter(|case| case.stop_ms.is_some_and(|stop| stop > case.limit_ms)).count();
    if late > 0 {
        let (cases, slack) = (count(late as u64, "case", "cases"), millis(report.slack_ms));
        let text = format!("{cases} exceeded the limit by less than {slack}");
        writeln!(out, "\n{label}: {text}, which is allowed on a busy machine")?;
    }
    let again = held().filter(|case| case.attempts > 1).count();
    if again > 0 {
        let cases = count(again as u64, "case", "cases");
        writeln!(out, "\n{label}: {cases} passed only when repeated alone")?;
    }
    let (held, skipped) = (report.count(CaseStatus::Held), report.count(CaseStatus::Skipped));
    let run = count((report.cases.len() - skipped) as u64, "case", "cases");
    let skipped = match skipped {
        0 => String::new(),
        number => format!(", {number} skipped"),
    };
    let style = match report.status {
        SelftestStatus::Passed => GOOD,
        SelftestStatus::Failed => BAD,
    };
    let label = paint("crew selftest:", style, look.colour);
    writeln!(out, "\n{label} {held} of {run} passed{skipped}, in {}", millis(report.duration_ms))?;
    out.flush()
}

fn title_width(look: Look) -> usize {
    let others = MARK + NUMBERS.iter().map(|(_, width)| width).sum::<usize>();
    look.width.saturating_sub(others).clamp(MIN_TITLE, MAX_TITLE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::process::Survivor;
    use crate::selftest::SCHEMA_VERSION;

    const LOOK: Look = Look { width: 80, ..Look::PLAIN };

    fn case(status: CaseStatus, stop_ms: Option<u64>) -> CaseReport {
        CaseReport {
            name: "daemon".into(),
            title: "Ctrl-C: a daemon".into(),
            promise: "nothing left".into(),
            status,
            stop_ms,
            limit_ms: 800,
            left: vec![],
            late: false,
            attempts: 1,
            detail: None,
        }
    }

    fn shown(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn rows(cases: &[CaseReport], look: Look) -> String {
        shown(|out| {
            header(look, out)?;
            cases.iter().try_for_each(|case| row(case, look, out))
        })
    }

    #[test]
    fn the_rows_are_aligned() {
        let mut failed = case(CaseStatus::Failed, None);
        failed.left = vec![Survivor { pid: 7, command: "x".into() }; 12];
        let mut skipped = case(CaseStatus::Skipped, None);
        skipped.detail = Some("Linux only".into());
        let expected =
            "  case                                                took     limit  survivors
✓ Ctrl-C: a daemon                                   312ms     800ms          0
✗ Ctrl-C: a daemon                                   never     800ms         12
- Ctrl-C: a daemon                                Linux only
";
        assert_eq!(rows(&[case(CaseStatus::Held, Some(312)), failed, skipped], LOOK), expected);
    }

    #[test]
    fn a_narrow_screen_cuts_the_titles() {
        let expected = "  case                took     limit  survivors
✓ Ctrl-C: a dae…     312ms     800ms          0\n";
        let look = Look { width: 30, ..LOOK };
        assert_eq!(rows(&[case(CaseStatus::Held, Some(312))], look), expected);
    }

    #[test]
    fn the_verdict_names_each_failed_case_and_how_to_run_it_alone() {
        let mut failed = case(CaseStatus::Failed, Some(900));
        failed.detail = Some("still alive: process 7 (a\u{1b}[2J)".into());
        let again = CaseReport { attempts: 2, ..case(CaseStatus::Held, Some(900)) };
        let report = SelftestReport {
            schema_version: SCHEMA_VERSION,
            status: SelftestStatus::Failed,
            duration_ms: 4600,
            slack_ms: 400,
            cases: vec![again, failed, case(CaseStatus::Skipped, None)],
            left: vec![Survivor { pid: 9, command: "sleep 9".into() }],
        };
        let expected = "
error daemon: still alive: process 7 (a)
  promise: nothing left; run it alone: crew selftest daemon

error: 1 process still alive at the end, such as 9 (sleep 9)

note: 1 case exceeded the limit by less than 400ms, which is allowed on a busy machine

note: 1 case passed only when repeated alone

crew selftest: 1 of 2 cases passed, 1 skipped, in 4.6s
";
        assert_eq!(shown(|out| verdict(&report, LOOK, out)), expected);
    }
}
