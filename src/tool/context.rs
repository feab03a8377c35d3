//! The inputs of a tool call.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::http::HttpClients;
use super::mcp::Servers;
use crate::cancel::Cancellation;
use crate::process::RunProcesses;
use crate::template::{Vars, tool_context};

/// The surroundings of a call: shared resources, limits, and values for templates.
#[derive(Clone, Copy)]
pub struct ToolContext<'a> {
    pub processes: &'a RunProcesses,
    pub http: &'a HttpClients,
    pub servers: &'a Servers,
    /// The agent's scope.
    pub scope: &'a Cancellation,
    /// The limit of tools that have none of their own.
    pub default_timeout: Duration,
    pub run_started: Instant,
    pub input: &'a str,
    pub vars: &'a Vars,
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
