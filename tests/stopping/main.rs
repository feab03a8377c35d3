//! Tests that measure times or memory. `cargo test` runs one binary after the other, so the other
//! tests do not compete with these for the processor.
#![allow(clippy::unwrap_used)]

/// The support code of `it`. It is public, so that items without a use here are not dead code.
#[path = "../it/support"]
pub mod support {
    pub mod api;
    pub mod batch;
    pub mod crew;
    pub mod mock_model;
    pub mod script;
}

mod batch;
mod bounds;
mod containment;
mod flow;
mod memory;
mod mixed_crew;
#[cfg(target_os = "linux")]
mod pid_one;
pub mod random;
#[cfg(target_os = "linux")]
mod random_stop;
mod reader;
mod recording;
mod selftest;
mod signals;
