//! What a run reports: [`Event`]s while it goes on, and one [`Report`] when it has ended. Plain
//! data.

mod agent;
mod agents;
mod calls;
mod cancel;
mod cost;
mod document;
mod error;
mod event;
mod failure;
mod invocation;
mod live;
mod run;
mod transcript;

pub use calls::{
    CheckReport, FailIfReport, ModelCallReport, StepReport, ToolCallReport, ToolStatus,
};
pub use cancel::{CancelKind, CancelReason};
pub use cost::Cost;
pub use document::{
    AgentKind, AgentReport, AgentStatus, Cleanup, FailedModel, Survivor, Usage, millis, word,
};
pub use error::{AgentError, ErrorKind, Scope};
pub use event::{AgentRunId, Event, EventSink};
pub use invocation::Invocation;
pub use live::{LiveAnswer, Piece};
pub use run::{Report, RunStatus, SCHEMA_VERSION};
pub use transcript::{
    MessageReport, RequestReport, RequestTerms, RequestedCallReport, RequestedTool, Role,
    TranscriptEntry, Transcripts,
};

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
