//! A report, or the events of a run, as people and programs read them.
//!
//! Every format is a pure function of a [`Report`](crate::report::Report) to bytes. Text from a
//! model, a tool or a server is hostile: it passes [`sanitize`](crate::text::sanitize) or
//! [`inline`](crate::text::inline) on its way to a terminal.

mod advice;
mod agents;
mod answer;
mod asked;
pub mod batch;
mod batch_estimate;
mod batch_status;
mod check;
pub mod crewtest;
mod events;
mod faults;
mod fit;
mod flow;
mod format;
mod json;
mod limits;
mod markdown;
mod paint;
mod plan;
mod programs;
pub mod progress;
mod prose;
mod question;
pub mod reports;
mod schema;
mod screen;
pub mod selftest;
mod summary;
pub mod table;
mod text;
mod timeline;
mod verdict;
pub(crate) mod words;

pub use answer::answer;
pub use asked::{RenderReport, RenderedAgent, rendered};
pub use batch_estimate::batch_estimate;
pub use batch_status::batch_status;
pub use check::{CheckReport, CheckedFile};
pub use events::EventLines;
pub use faults::{faults, valid, warnings};
pub use format::Format;
pub use json::{TerminalSafe, json};
pub use plan::{offers, plan};
pub use schema::{batch_schema, report_schema};
pub use screen::{Look, Screens};
pub use summary::summary;
pub use text::text;
pub use verdict::errors;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod snapshots;
