//! The secrets of a plan: what is taken out of everything that crew shows.

use secrecy::ExposeSecret;

use super::{CrewPlan, McpAccess, ProviderPlan, ToolKind, ToolPlan};
use crate::secret::{Secrets, is_telling};
use crate::template::Template;

impl CrewPlan {
    /// API keys, and the values of headers, queries and variables that are named like secrets.
    pub fn secrets(&self) -> Secrets {
        let servers = self.mcp_servers.iter().flat_map(|server| match &server.access {
            McpAccess::Process { env, .. } => env,
            McpAccess::Http { headers, .. } => headers,
        });
        let servers = servers.filter(|(name, _)| is_telling(name)).map(|(_, value)| value);
        let tools = self.tools().into_iter().flat_map(of_tool);
        let mut secrets = Secrets::default();
        let providers = self.providers.iter().flat_map(ProviderPlan::secrets);
        providers.for_each(|(_, value)| secrets.add(&value));
        self.secrets.iter().chain(servers).for_each(|value| secrets.add(value.expose_secret()));
        let tools = tools.filter(|(name, _)| is_telling(name));
        tools.for_each(|(_, value)| secrets.add(value.source()));
        secrets
    }
}

/// Headers and parameters of a tool's requests that are the same in each of them.
fn of_tool(tool: &ToolPlan) -> Vec<(&str, &Template)> {
    let ToolKind::Http(http) = &tool.kind else { return Vec::new() };
    let headers = http.headers.iter().map(|header| (header.name.as_str(), &header.value));
    let query = http.query.iter().map(|(name, value)| (name.as_str(), value));
    headers.chain(query).filter(|(_, value)| value.is_literal()).collect()
}
