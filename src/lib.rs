//! One-shot parallel agent runs. Every run ends in bounded time and memory, leaves no process
//! behind, and reports everything that was paid for.
//!
//! A file becomes a plan (`config`, `plan`). The engine runs the plan (`engine`, `agent`,
//! `provider`, `tool`) and returns one report (`report`), which is written in a format (`render`).
//! A batch runs a plan once for each of many inputs (`batch`); tests of crews run without servers
//! (`crewtest`). The program is a command line (`cli`) and its subcommands (`commands`), one of
//! which verifies the shutdown guarantees (`selftest`).

pub mod agent;
pub mod approval;
pub mod attachment;
pub mod batch;
pub mod budget;
pub mod cancel;
pub mod chat;
pub mod cli;
pub mod commands;
pub mod config;
pub mod crewtest;
pub mod engine;
pub mod exit;
pub mod net;
pub mod plan;
pub mod process;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod provider;
pub mod recording;
pub mod render;
pub mod report;
pub mod secret;
pub mod selftest;
pub mod services;
pub mod signal;
pub mod structured;
pub mod telemetry;
pub mod template;
pub mod text;
pub mod tool;
pub mod units;
pub mod untrusted;
pub mod vendor;
