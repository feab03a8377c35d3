//! One agent at work: its time limit, its model calls with their retries, and its tool calls.
//!
//! `driver` runs an agent, `conversation` decides what comes next. What an agent learns goes into
//! its `ledger` at once, so that nothing is lost however it ends.

mod attempt;
mod budget;
mod conversation;
mod driver;
mod fallback;
mod ledger;
mod model;
mod recorder;
mod run;
mod tools;

pub use budget::Budget;
pub use driver::run;
pub use ledger::{End, Failure, Ledger};
pub use run::{AgentRun, RunContext};
