//! The subcommands: from parsed arguments to an exit status.

pub mod check;
mod delivery;
mod fallback;
mod input;
mod output;
mod reader;
pub mod run;
pub mod selftest;
mod shared;
pub mod usage;
