//! What a self-test has found: plain data, and its JSON.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::strays::Stray;
use crate::report::millis;

/// The version of the JSON document. It only grows: fields keep their names and meanings.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole of it.
#[derive(Debug, Clone, Serialize)]
pub struct SelftestReport {
    pub schema_version: u32,
    pub status: SelftestStatus,
    pub duration_ms: u64,
    /// What a busy machine may add to each promise without breaking it.
    pub slack_ms: u64,
    /// In the order of the table of cases.
    pub cases: Vec<CaseReport>,
    /// Processes that no case accounts for.
    pub left: Vec<Stray>,
}

impl SelftestReport {
    pub fn count(&self, status: CaseStatus) -> usize {
        self.cases.iter().filter(|case| case.status == status).count()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SelftestStatus {
    Passed,
    Failed,
}

/// What became of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    pub name: String,
    /// What was tried.
    pub title: String,
    pub promise: String,
    pub status: CaseStatus,
    /// From the last thing that happened to crew until all was over; `None` if that was not seen.
    pub stop_ms: Option<u64>,
    /// What is promised.
    pub limit_ms: u64,
    /// Processes that were alive when all should have been over. They were killed.
    pub left: Vec<Stray>,
    /// Nothing but time was wrong.
    pub late: bool,
    /// How often it was played: what is late is tried again, then without any other case beside.
    pub attempts: u32,
    /// What did not hold, or why it was skipped.
    pub detail: Option<String>,
}

impl CaseReport {
    /// Of a case that nothing was measured of.
    pub fn new(case: &Case, status: CaseStatus, detail: Option<String>) -> Self {
        Self {
            name: case.name.to_owned(),
            title: case.title.to_owned(),
            promise: case.promise.text.to_owned(),
            status,
            stop_ms: None,
            limit_ms: millis(case.promise.limit),
            left: Vec::new(),
            late: false,
            attempts: 0,
            detail,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    Held,
    Failed,
    Skipped,
}
