//! Tests of crews: a file names a crew, an input, what replaces its servers, and what has to hold
//! of the report.

mod expected;
mod mismatch;
mod runner;
mod snapshot;
mod test_plan;

pub use runner::{TestResult, run};
pub use test_plan::TestPlan;
