//! Distributed traces: the context that crew passes on to what it starts, and the spans of a run.

mod collector;
mod context;
mod export;
mod names;
mod queue;
mod spans;

pub use context::{SpanContext, SpanId, Trace};
pub use queue::{NotSent, SpanQueue};
pub use spans::BatchSpan;
