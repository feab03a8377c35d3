//! One-shot parallel agent runs: every run ends, in bounded time and memory, nothing of it
//! survives, and nothing it has paid for is lost.
//!
//! A file becomes a plan (`config`, `plan`), the plan is run (`engine`, `agent`, `provider`,
//! `tool`) and yields one report (`report`), which is shown (`render`). What is promised of the end
//! of a run can be tried out by everybody (`selftest`).

pub mod agent;
pub mod budget;
pub mod cancel;
pub mod cli;
pub mod config;
pub mod consent;
pub mod conversation;
pub mod engine;
pub mod exit;
pub mod fallback;
pub mod input;
pub mod ledger;
pub mod open_files;
pub mod output;
pub mod plan;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod provider;
pub mod reader;
pub mod render;
pub mod report;
pub mod sandbox;
pub mod secret;
pub mod selftest;
pub mod signal;
pub mod structured;
pub mod tool;
