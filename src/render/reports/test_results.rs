//! The results of `crew test` as JUnit's XML: a case for each test.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as Document, TestCase, TestCaseStatus, TestSuite};

use super::junit::{write, xml};
use crate::crewtest::TestResult;
use crate::text::{inline, sanitize};

pub fn test_results(tests: &[TestResult], took: Duration, out: &mut dyn Write) -> io::Result<()> {
    let mut suite = TestSuite::new("crew test");
    suite.set_time(took);
    for test in tests {
        let name = xml(&inline(&test.name));
        let mut case = TestCase::new(name, status(test));
        case.set_classname("crew test");
        case.set_time(test.duration);
        suite.add_test_case(case);
    }
    let mut document = Document::new("crew test");
    document.set_time(took);
    document.add_test_suite(suite);
    write(&document, out)
}

fn status(test: &TestResult) -> TestCaseStatus {
    let Some(first) = test.mismatches.first() else { return TestCaseStatus::success() };
    let lines = test.mismatches.iter().flat_map(|mismatch| {
        let seen = mismatch.seen.iter().map(|line| format!("  {line}"));
        std::iter::once(mismatch.message.clone()).chain(seen)
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(xml(&inline(&first.message))).set_description(xml(&sanitize(&text)));
    status
}
