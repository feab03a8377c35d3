//! When a call to an endpoint may start: one governor for each endpoint and key decides for all
//! agents together, and ends calls that cannot succeed before they are made.

mod queue;
mod quota;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub use queue::{Governor, Permit, of};
