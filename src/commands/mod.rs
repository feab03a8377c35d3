//! The subcommands: from parsed arguments to an exit status.

pub mod check;
mod delivery;
mod input;
pub mod invalid;
mod reader;
pub mod run;
mod runtime;
pub mod selftest;
mod sink;
