//! How the progress of a run is shown.

use crate::render::screen::Reader;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Redraw in place; otherwise write a line for each change of state.
    pub draw: bool,
    pub colour: bool,
    pub reader: Reader,
    /// Also model calls and the arguments of tools.
    pub verbose: bool,
    /// Also what agents and models send each other.
    pub transcripts: bool,
    /// Show nothing.
    pub quiet: bool,
}
