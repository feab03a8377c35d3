//! `crew selftest`: verifies crew's shutdown guarantees on the user's machine.
//!
//! Each case is a real run of this program with misbehaving tools (`fixture`) and servers
//! (`server`), and an event such as a signal. A supervisor process of its own (`supervisor`) runs
//! each case: it adopts whatever escapes the run, reports it and kills it. To add a case, add an
//! entry to `cases`, to `flow_cases` for steps, instances and checks, or to `batch_cases`.

mod base;
mod batch_cases;
mod case;
mod case_run;
mod cases;
mod checks;
mod crew_file;
mod fixture;
mod flow_cases;
mod leftovers;
mod report;
mod runner;
mod server;
mod supervisor;

pub use cases::{find, select};
pub use fixture::{Fixture, misbehave};
pub use report::{CaseReport, CaseStatus, SCHEMA_VERSION, SelftestReport, SelftestStatus};
pub use runner::{Outcome, run};
pub use supervisor::supervise;
