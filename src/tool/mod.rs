//! Tool calls of agents: checking them, running them, and reporting how they ended.

mod call;
mod check;
mod command;
mod context;
pub mod http;
mod launch;
pub mod mcp;
mod outcome;
mod preview;
mod program;
mod recorded;
mod report;

pub use call::call;
pub use check::{CheckedCall, check};
pub use command::{describe_exit, outcome as program_outcome};
pub use context::ToolContext;
pub use outcome::{ToolEnd, ToolOutcome, stopped};
pub use preview::{preview, preview_program, preview_request};
pub use program::{Program, ProgramError};
pub use report::{refused, rejected, unanswered, unfinished};
