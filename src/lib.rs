//! One-shot parallel agent runs: every run ends, in bounded time and memory, nothing of it
//! survives, and nothing it has paid for is lost.
//!
//! A file becomes a plan (`config`, `plan`), the plan is run (`engine`, `agent`, `provider`,
//! `tool`) and yields one report (`report`), which is shown (`render`). What is promised of the end
//! of a run can be tried out by everybody (`selftest`).

pub mod agent;
pub mod approval;
pub mod cancel;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod exit;
pub mod net;
pub mod plan;
pub mod process;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod provider;
pub mod render;
pub mod report;
pub mod secret;
pub mod selftest;
pub mod services;
pub mod signal;
pub mod structured;
pub mod template;
pub mod text;
pub mod tool;
pub mod units;
pub mod untrusted;
pub mod vendor;
