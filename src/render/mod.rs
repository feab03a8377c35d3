//! A report, or what happens meanwhile, as people and programs read it.
//!
//! Every format is a pure function of a [`Report`](crate::report::Report) to bytes. Text that comes
//! from a model, a tool or a server is hostile: it passes [`sanitize`] or [`inline`] on its way to
//! a terminal.

mod advice;
mod faults;
mod fit;
mod json;
mod limits;
mod paint;
mod plan;
pub mod progress;
mod question;
mod screen;
pub mod selftest;
mod summary;
mod table;
mod text;
pub(crate) mod words;

pub use faults::faults;
pub use json::json;
pub use plan::{offers, plan};
pub use screen::{Colour, Environment, Screen, colour};
pub use summary::summary;
pub use text::text;

/// How a report is to be shown to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub colour: bool,
    /// Columns to fit headings, tool lines and tables into; answers are never cut.
    pub width: usize,
    /// Show what the tools put out as well.
    pub verbose: bool,
}

#[cfg(test)]
mod fixtures;
