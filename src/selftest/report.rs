//! The result of a self-test, as plain data and as JSON.

use serde::{Deserialize, Serialize};

use super::case::Case;
use crate::process::Survivor;
use crate::report::millis;

/// The version of the JSON document. Fields may be added, but keep their names and meanings.
pub const SCHEMA_VERSION: u32 = 1;

/// The whole document.
#[derive(Debug, Clone, Serialize)]
pub struct SelftestReport {
    pub schema_version: u32,
    pub status: SelftestStatus,
    pub duration_ms: u64,
    /// What a busy machine may add to each limit.
    pub slack_ms: u64,
    /// In the order of the table of cases.
    pub cases: Vec<CaseReport>,
    /// Live processes that belong to no finished case.
    pub left: Vec<Survivor>,
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

/// The result of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseReport {
    pub name: String,
    pub title: String,
    pub promise: String,
    pub status: CaseStatus,
    /// The time from the last event until crew and its tools had ended; `None` if they did not.
    pub stop_ms: Option<u64>,
    /// The limit that crew promises.
    pub limit_ms: u64,
    /// Processes that were still alive afterwards. They were killed.
    pub left: Vec<Survivor>,
    /// Everything that failed was a matter of time.
    pub late: bool,
    /// The number of times the case was run: a late case is run again, alone.
    pub attempts: u32,
    /// Why it failed or was skipped.
    pub detail: Option<String>,
}

impl CaseReport {
    /// A report without measurements.
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
    /// crew kept the promise.
    Held,
    Failed,
    Skipped,
}
