//! The events of a run, shown on stderr as they happen.
//!
//! The engine sends its events to a sink that only records them; one thread draws or writes them.
//! From [`Progress::start`] on nothing else may write to stderr: when its reader stops reading, the
//! thread blocks with the lock of the stream, and nothing else does. Nothing waits for the thread
//! without a bound.

mod asking;
mod board;
mod control;
mod drawing;
mod echo;
mod frame;
mod lines;
mod options;
mod pinned;
mod prompt;
mod questions;
mod shared;
mod transcript;
mod writer;

pub use board::{Crew, crew};
pub use control::Progress;
pub use options::Options;
pub use transcript::Trace;

#[cfg(test)]
mod tests;
