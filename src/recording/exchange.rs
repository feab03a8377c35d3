//! One exchange: a line of a recording.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who was asked, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A model.
    Model,
    /// The server of an HTTP tool or an HTTP step.
    Http,
    /// A tool of an MCP server.
    Mcp,
    /// An MCP server, for its tools.
    McpTools,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "request to the model",
            Self::Http => "HTTP request",
            Self::Mcp => "call of the MCP tool",
            Self::McpTools => "list of the MCP server's tools",
        }
    }
}

/// A request.
#[derive(Debug)]
pub struct Asked {
    pub kind: Kind,
    /// The agent that asks; that of an instance is followed by its key in brackets. Empty for none.
    pub agent: String,
    /// What decides the answer, and nothing else.
    pub request: Value,
}

/// A request and its answer, without secrets.
#[derive(Debug, Serialize, Deserialize)]
pub struct Exchange {
    pub kind: Kind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    pub request: Value,
    pub response: Value,
}

impl Exchange {
    /// Its line with the end of the line.
    pub fn line(&self) -> String {
        // A tree of JSON values can always be written.
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}
