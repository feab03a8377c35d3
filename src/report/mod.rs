//! What a run reports: [`Event`]s while it goes on, and one [`Report`] when it has ended. Plain data.

mod document;
mod event;
mod failure;
mod live;

pub use document::{
    AgentError, AgentReport, AgentStatus, CancelKind, CancelReason, Cleanup, ErrorKind,
    FailedModel, Report, RunStatus, SCHEMA_VERSION, Scope, Survivor, ToolCallReport, ToolStatus,
    Usage, millis,
};
pub use event::{AgentRunId, Event, EventSink};
pub use live::LiveAnswer;
