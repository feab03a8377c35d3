//! Tests that measure times or memory. They are a binary of their own because `cargo test` runs one
//! binary after the other: the other tests would take the processor from them.
#![allow(clippy::unwrap_used)]

/// Public, so that what only the other tests use of it is not dead code here.
#[path = "../it/support"]
pub mod support {
    pub mod crew;
    pub mod mock_model;
    pub mod script;
}

mod bounds;
mod containment;
mod memory;
#[cfg(target_os = "linux")]
mod random_stop;
mod reader;
mod selftest;
mod signals;
