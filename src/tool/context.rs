//! The inputs of a tool call.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::http::HttpClients;
use super::mcp::Servers;
use crate::cancel::Cancellation;
use crate::process::RunProcesses;
use crate::telemetry::SpanContext;
use crate::template::{RunInput, Vars, tool_context};

/// The environment of a call: shared resources, limits, and values for templates.
#[derive(Clone, Copy)]
pub struct ToolContext<'a> {
    /// The agent that calls; that of an instance is followed by its key in brackets.
    pub agent: &'a str,
    /// Starts and stops the programs of tools.
    pub processes: &'a RunProcesses,
    /// The clients of HTTP tools.
    pub http: &'a HttpClients,
    /// Counts the requests of HTTP tools that were dropped because something was stopped.
    pub http_calls_cancelled: &'a AtomicU64,
    /// The MCP servers.
    pub servers: &'a Servers,
    /// The agent's scope. Cancelling it stops the call.
    pub scope: &'a Cancellation,
    /// The timeout of tools that have none of their own.
    pub default_timeout: Duration,
    /// The start of the run, from which a report counts milliseconds.
    pub run_started: Instant,
    /// The input of the run, for templates.
    pub input: &'a RunInput,
    /// The variables of the crew file, for templates.
    pub vars: &'a Vars,
    /// The call's place in the trace.
    pub span: SpanContext<'a>,
}

/// The inputs that every kind of tool takes.
pub struct CallInput<'a> {
    /// Checked, with defaults filled in.
    pub arguments: &'a Map<String, Value>,
    /// The number of bytes to keep of the output.
    pub max_output: usize,
    pub context: &'a ToolContext<'a>,
}

impl CallInput<'_> {
    /// The values that a tool's templates can use.
    pub fn template_values(&self) -> minijinja::Value {
        tool_context(self.context.input, self.context.vars, self.arguments)
    }
}
