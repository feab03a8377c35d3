//! One agent at work: its time limit, its model calls with their retries, and its tool calls.
//!
//! `life` runs an agent, `conversation` decides what comes next. What an agent learns goes into
//! its `ledger` at once, so that nothing is lost however it ends.

mod attempt;
mod check;
mod conversation;
mod driver;
mod fallback;
mod ledger;
mod life;
mod model;
mod opening;
mod recorder;
mod run;
mod step;
mod tools;
mod transcript;
mod values;

pub use ledger::{End, Failure};
pub use life::run;
pub use opening::{Opening, OpeningError};
pub use run::{AgentRun, RunContext};
pub use values::values;
