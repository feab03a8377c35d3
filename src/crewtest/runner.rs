//! Runs a test, as `crew run` would run its crew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::mismatch::Mismatch;
use super::test_plan::TestPlan;
use crate::approval::Approval;
use crate::cancel::Cancellation;
use crate::engine;
use crate::report::EventSink;
use crate::services::{Rehearsal, Services};

/// How a test ended.
#[derive(Debug)]
pub struct TestResult {
    /// The test's file, as it was named.
    pub name: String,
    pub duration: Duration,
    /// What does not hold. Empty: the test has passed.
    pub mismatches: Vec<Mismatch>,
}

impl TestResult {
    pub fn has_passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

/// Runs a test. `cancel` is its own; `update`: the snapshot is rewritten.
pub async fn run(
    test: TestPlan,
    cancel: &Cancellation,
    open_files: Option<u64>,
    update: bool,
) -> TestResult {
    let began = Instant::now();
    let TestPlan { file, crew, input, approve, replay, faults, expected } = test;
    let rehearsal = Rehearsal { recording: replay, faults };
    let mismatches = match Services::rehearse(&crew, cancel, open_files, rehearsal) {
        Err(error) => vec![Mismatch::new(error.to_string())],
        Ok(mut services) => {
            if approve {
                services.approval = Approval::All;
            }
            let events: EventSink = Arc::new(drop);
            let mut report = engine::run(&crew, &input, &services, cancel, &events).await;
            engine::settle(&mut report, services.close().await);
            expected.compare(&report, update)
        }
    };
    TestResult { name: file.display().to_string(), duration: began.elapsed(), mismatches }
}
