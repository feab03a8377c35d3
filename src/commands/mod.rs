//! The subcommands: from parsed arguments to an exit status.

pub mod batch;
pub mod check;
mod delivery;
mod earlier;
mod env_file;
mod event_log;
pub mod generate;
mod github;
mod history;
pub mod init;
mod input;
pub mod invalid;
mod messages;
mod offers;
mod reader;
mod rehearsal;
pub mod render;
mod report_file;
pub mod reports;
pub mod rerun;
pub mod run;
pub mod runs;
mod runtime;
pub mod selftest;
mod sink;
pub mod test;
mod trace;
