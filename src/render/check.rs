//! `crew check -o json`: the faults and warnings of every file.

use serde::Serialize;
use serde_json::Value;

use crate::config::faults::{Fault, Faults};
use crate::exit::ExitStatus;
use crate::report::{RunStatus, SCHEMA_VERSION};
use crate::secret::Secrets;
use crate::tool::mcp::{Offer, OfferedTool};

/// The JSON document of `crew check`.
#[derive(Debug, Serialize)]
pub struct CheckReport {
    schema_version: u32,
    status: RunStatus,
    exit_code: u8,
    files: Vec<CheckedFile>,
}

impl CheckReport {
    pub fn new(status: ExitStatus, files: Vec<CheckedFile>) -> Self {
        let word = match status {
            ExitStatus::Success => RunStatus::Succeeded,
            ExitStatus::Invalid => RunStatus::Invalid,
            _ => RunStatus::Failed,
        };
        Self { schema_version: SCHEMA_VERSION, status: word, exit_code: status.code(), files }
    }
}

/// What is known of one file.
#[derive(Debug, Serialize)]
pub struct CheckedFile {
    /// `None`: there is no crew file at the usual places.
    file: Option<String>,
    errors: Vec<Fault>,
    warnings: Vec<Fault>,
    /// The MCP servers, if they were started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mcp_servers: Vec<CheckedServer>,
}

impl CheckedFile {
    pub fn new(
        file: Option<String>,
        faults: Faults,
        offers: Vec<Offer>,
        secrets: &Secrets,
    ) -> Self {
        let server = |offer| CheckedServer::new(offer, secrets);
        let mcp_servers = offers.into_iter().map(server).collect();
        Self { file, errors: faults.faults, warnings: faults.warnings, mcp_servers }
    }
}

#[derive(Debug, Serialize)]
struct CheckedServer {
    name: String,
    tools: Vec<CheckedTool>,
    errors: Vec<String>,
}

#[derive(Debug, Serialize)]
struct CheckedTool {
    name: String,
    description: String,
    read_only: Option<bool>,
    destructive: Option<bool>,
    /// The schema of the arguments, or `null` if the tool cannot be used.
    parameters: Option<Value>,
    error: Option<String>,
}

impl CheckedServer {
    fn new(offer: Offer, secrets: &Secrets) -> Self {
        let tools = offer.tools.into_iter().map(|tool| CheckedTool::new(tool, secrets)).collect();
        Self { name: offer.server, tools, errors: offer.faults }
    }
}

impl CheckedTool {
    fn new(tool: OfferedTool, secrets: &Secrets) -> Self {
        let (parameters, error) = match tool.parameters {
            Ok(schema) => (Some(secrets.redact_value(schema.schema().clone())), None),
            Err(error) => (None, Some(secrets.redact(error))),
        };
        let OfferedTool { name, description, read_only, destructive, .. } = tool;
        Self { name, description, read_only, destructive, parameters, error }
    }
}
