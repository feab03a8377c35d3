//! The plan of one tool.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::http::HttpPlan;
use super::sandbox::SandboxPlan;
use crate::chat::ToolSpec;
use crate::structured::Parameters;
use crate::template::Template;

#[derive(Debug)]
pub struct ToolPlan {
    /// The tool as the model sees it, with the schema of all arguments.
    pub spec: ToolSpec,
    /// The check of a call's arguments.
    pub parameters: Arc<Parameters>,
    /// `None`: the agent's `tool_timeout`.
    pub timeout: Option<Duration>,
    /// Bytes.
    pub max_output: usize,
    /// Whether each call needs approval.
    pub confirm: bool,
    pub kind: ToolKind,
}

impl ToolPlan {
    /// The name as in the file. The model may use another name.
    pub fn label(&self) -> &str {
        match &self.kind {
            ToolKind::Mcp(tool) => &tool.label,
            ToolKind::Process(_) | ToolKind::Http(_) => &self.spec.name,
        }
    }
}

/// The action of a tool.
#[derive(Debug)]
pub enum ToolKind {
    Process(ProcessPlan),
    Http(Box<HttpPlan>),
    /// Known only after its server has started.
    Mcp(McpToolPlan),
}

/// A tool of an MCP server.
#[derive(Debug)]
pub struct McpToolPlan {
    /// Index into [`super::CrewPlan::mcp_servers`].
    pub server: usize,
    /// The name on the server.
    pub tool: String,
    /// `server.tool`, the name as in the file.
    pub label: String,
}

/// A program to start.
#[derive(Debug)]
pub struct ProcessPlan {
    pub command: ToolCommand,
    /// The working directory, relative to `base_dir`. `None`: the one in which crew was started.
    pub cwd: Option<Template>,
    /// The directory of the crew's file.
    pub base_dir: Arc<PathBuf>,
    /// The names of environment variables passed on in addition to the usual ones.
    pub env: Vec<String>,
    /// Environment variables with values.
    pub set_env: Vec<(String, Template)>,
    /// `None`: the program has the rights of its user.
    pub sandbox: Option<SandboxPlan>,
}

#[derive(Debug)]
pub enum ToolCommand {
    /// An argument vector; each template fills exactly one argument.
    Argv(Vec<Template>),
    /// A line for `sh -c`, verbatim. Arguments arrive as environment variables.
    Shell(String),
}
