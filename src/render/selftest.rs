//! `crew selftest`, as people read it: one row a case, as they end, and the verdict.

use std::io::{self, Write};

use super::paint::{BAD, FAINT, GOOD, Line, PLAIN, STRONG, WARN, paint};
use super::words::{count, millis};
use super::{Look, fit};
use crate::selftest::{CaseReport, CaseStatus, SelftestReport, SelftestStatus};
use crate::text::inline;

/// Columns of what was tried, where there is room; and where there is none.
const WIDEST_TITLE: usize = 46;
const NARROWEST_TITLE: usize = 14;
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
    let held = || report.cases.iter().filter(|case| case.status == CaseStatus::Held);
    let label = paint("note", WARN, look.colour);
    let late = held().filter(|case| case.stop_ms.is_some_and(|stop| stop > case.limit_ms)).count();
    if late > 0 {
        let (cases, slack) = (count(late as u64, "case", "cases"), millis(report.slack_ms));
        let less = format!("by less than the {slack} that a busy machine may take");
        writeln!(out, "\n{label}: {cases} took longer than promised, {less}")?;
    }
    let again = held().filter(|case| case.attempts > 1).count();
    if again > 0 {
        let cases = count(again as u64, "case", "cases");
        writeln!(
            out,
            "\n{label}: {cases} did not hold in time at first, and did once nothing else ran"
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::selftest::{SCHEMA_VERSION, Stray};

    const LOOK: Look = Look { colour: false, width: 80, verbose: false };

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
        failed.left = vec![Stray { pid: 7, command: "x".into() }; 12];
        let mut skipped = case(CaseStatus::Skipped, None);
        skipped.detail = Some("Linux only".into());
        let expected = "  what was tried                                  ended in  promised  left
✓ Ctrl-C: a daemon                                   312ms     800ms     0
✗ Ctrl-C: a daemon                                   never     800ms    12
- Ctrl-C: a daemon                                Linux only
";
        assert_eq!(rows(&[case(CaseStatus::Held, Some(312)), failed, skipped], LOOK), expected);
    }

    #[test]
    fn a_narrow_screen_cuts_what_was_tried() {
        let expected = "  what was tried  ended in  promised  left
✓ Ctrl-C: a dae…     312ms     800ms     0\n";
        let look = Look { width: 30, ..LOOK };
        assert_eq!(rows(&[case(CaseStatus::Held, Some(312))], look), expected);
    }

    #[test]
    fn the_verdict_says_what_did_not_hold_and_how_to_try_it_alone() {
        let mut failed = case(CaseStatus::Failed, Some(900));
        failed.detail = Some("left alive: process 7 (a\u{1b}[2J)".into());
        let again = CaseReport { attempts: 2, ..case(CaseStatus::Held, Some(900)) };
        let report = SelftestReport {
            schema_version: SCHEMA_VERSION,
            status: SelftestStatus::Failed,
            duration_ms: 4600,
            slack_ms: 400,
            cases: vec![again, failed, case(CaseStatus::Skipped, None)],
            left: vec![Stray { pid: 9, command: "sleep 9".into() }],
        };
        let expected = "
error daemon: left alive: process 7 (a)
  promised: nothing left; try it alone: crew selftest daemon

error: 1 process left after all, such as 9 (sleep 9)

note: 1 case took longer than promised, by less than the 400ms that a busy machine may take

note: 1 case did not hold in time at first, and did once nothing else ran

crew selftest: 1 of 2 cases held, 1 skipped, in 4.6s
";
        assert_eq!(shown(|out| verdict(&report, LOOK, out)), expected);
    }
}
