//! Code that several modules share.

pub mod api;
pub mod batch;
pub mod crew;
pub mod faults;
pub mod http_tool;
mod mcp_faults;
pub mod mcp_server;
pub mod mock_model;
pub mod pty;
pub mod script;
pub mod tls;

/// The YAML, indented by two spaces.
pub fn indented(yaml: &str) -> String {
    yaml.lines().map(|line| format!("  {line}\n")).collect()
}
