//! When a call to an endpoint may start: one governor for each endpoint and key decides for all
//! agents together, and ends calls that cannot succeed before they are made.

mod admission;
#[cfg(test)]
mod model_tests;
mod queue;
mod quota;
mod state;
#[cfg(test)]
mod tests;
mod window;

pub use admission::{Governor, Permit, Wanted, of};
