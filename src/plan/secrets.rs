//! The secrets of a plan, which are redacted in everything that crew shows.

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

use super::crew_plan::CrewPlan;
use super::mcp::McpAccess;
use super::provider::ProviderPlan;
use super::tool_plan::{ToolKind, ToolPlan};
use crate::secret::{Secrets, is_telling};
use crate::template::Template;

impl CrewPlan {
    /// API keys, and the values of headers, query parameters and variables with telling names.
    pub fn secrets(&self) -> Secrets {
        let servers = self.mcp_servers.iter().flat_map(|server| of_server(&server.access));
        let tools = self.tools().into_iter().flat_map(of_tool);
        let mut secrets = Secrets::default();
        self.secrets.iter().for_each(|value| secrets.add(value.expose_secret()));
        let providers = self.providers.iter().flat_map(ProviderPlan::secrets);
        providers.for_each(|(_, value)| secrets.add(&value));
        let servers = servers.filter(|(name, _)| is_telling(name));
        servers.for_each(|(_, value)| secrets.add(value));
        let tools = tools.filter(|(name, _)| is_telling(name));
        tools.for_each(|(_, value)| secrets.add(value.source()));
        secrets
    }
}

/// The variables or the headers that an MCP server gets.
fn of_server(access: &McpAccess) -> Vec<(&str, &str)> {
    match access {
        McpAccess::Process { env, .. } => {
            env.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect()
        }
        McpAccess::Http { headers, .. } => {
            let text = |value| HeaderValue::to_str(value).unwrap_or_default();
            headers.iter().map(|(name, value)| (name.as_str(), text(value))).collect()
        }
    }
}

/// Headers and query parameters of an HTTP tool that are the same in every request.
fn of_tool(tool: &ToolPlan) -> Vec<(&str, &Template)> {
    let ToolKind::Http(http) = &tool.kind else { return Vec::new() };
    let headers = http.headers.iter().map(|header| (header.name.as_str(), &header.value));
    let query = http.query.iter().map(|(name, value)| (name.as_str(), value));
    headers.chain(query).filter(|(_, value)| value.is_literal()).collect()
}
