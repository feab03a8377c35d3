//! The secrets of a plan, which are redacted in everything that crew shows.

use reqwest::header::HeaderValue;
use secrecy::ExposeSecret;

use super::crew_plan::CrewPlan;
use super::http::HttpPlan;
use super::mcp::McpAccess;
use super::provider::ProviderPlan;
use crate::secret::{Secrets, is_telling};
use crate::template::Template;

impl CrewPlan {
    /// API keys, and the values of headers, query parameters and variables with telling names.
    pub fn secrets(&self) -> Secrets {
        let servers = self.mcp_servers.iter().flat_map(|server| of_server(&server.access));
        let requests = self.requests().into_iter().flat_map(of_request);
        let secrets = Secrets::default();
        self.secrets.iter().for_each(|value| secrets.add(value.expose_secret()));
        let providers = self.providers.iter().flat_map(ProviderPlan::secrets);
        providers.for_each(|(_, value)| secrets.add(&value));
        let servers = servers.filter(|(name, _)| is_telling(name));
        servers.for_each(|(_, value)| secrets.add(value));
        let requests = requests.filter(|(name, _)| is_telling(name));
        requests.for_each(|(_, value)| secrets.add(value.source()));
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

/// Headers and query parameters that are the same in every request of a tool or a step.
fn of_request(http: &HttpPlan) -> Vec<(&str, &Template)> {
    let headers = http.headers.iter().map(|header| (header.name.as_str(), &header.value));
    let query = http.query.iter().map(|(name, value)| (name.as_str(), value));
    headers.chain(query).filter(|(_, value)| value.is_literal()).collect()
}
