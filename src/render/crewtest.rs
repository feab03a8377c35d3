//! `crew test` as text: a line for each test, what does not hold, and the totals.

use std::io::{self, Write};
use std::time::Duration;

use super::Look;
use super::paint::{BAD, FAINT, GOOD, STRONG, paint};
use super::words::count;
use crate::crewtest::TestResult;
use crate::text::{inline, sanitize};

/// A test that has ended.
pub fn result(test: &TestResult, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    line(test, look, out)?;
    for mismatch in &test.mismatches {
        writeln!(out, "          {}", inline(&mismatch.message))?;
        for seen in &mismatch.seen {
            for line in sanitize(seen).lines() {
                writeln!(out, "            {}", paint(line, FAINT, look.colour))?;
            }
        }
    }
    out.flush()
}

fn line(test: &TestResult, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let (word, style) = if test.has_passed() { ("PASS", GOOD) } else { ("FAIL", BAD) };
    let (word, took) = (paint(word, style, look.colour), seconds(test.duration));
    writeln!(out, "    {word} {took} {}", inline(&test.name))
}

fn seconds(duration: Duration) -> String {
    format!("[{:>8.3}s]", duration.as_secs_f64())
}

/// The totals, and the tests that failed once more.
pub fn summary(
    tests: &[TestResult],
    not_run: usize,
    took: Duration,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let failed = tests.iter().filter(|test| !test.has_passed());
    let failures = failed.clone().count();
    let run = count(tests.len() as u64, "test", "tests");
    let mut totals = format!("{run} run: {} passed", tests.len() - failures);
    if failures > 0 {
        totals.push_str(&format!(", {failures} failed"));
    }
    if not_run > 0 {
        totals.push_str(&format!(", {not_run} not run"));
    }
    writeln!(out, "{}", if look.reader.ascii { "------------" } else { "────────────" })?;
    let word = paint("Summary", STRONG, look.colour);
    writeln!(out, " {word} {} {totals}", seconds(took))?;
    for test in failed {
        line(test, look, out)?;
    }
    out.flush()
}
