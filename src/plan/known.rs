//! What agents may name in their `tools`: tools of the file, MCP servers, and tools of those.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{McpGrant, McpServerPlan, ToolPlan, mcp};
use crate::config::faults::FaultLog;
use crate::config::file::AgentConfig;
use crate::config::place::Path;
use crate::text::quoted;

pub struct Known<'a> {
    /// In no order; `None` for a tool that no plan can be made of.
    pub tools: HashMap<&'a str, Option<Arc<ToolPlan>>>,
    pub servers: &'a [Arc<McpServerPlan>],
    pub log: &'a FaultLog,
}

impl Known<'_> {
    /// The tools of the file that an agent names, and what it is given of servers.
    pub fn of(&self, config: &AgentConfig) -> (Vec<Arc<ToolPlan>>, Vec<McpGrant>) {
        let named = config.tools.iter().flatten();
        let tools = named.clone().filter_map(|name| self.tools.get(name.as_str())?.clone());
        (tools.collect(), named.filter_map(|name| self.grant(name)).collect())
    }

    /// Notes what an agent names in vain, or twice.
    pub fn check(&self, config: &AgentConfig, path: &Path<'_>) {
        let path = path.key("tools");
        let mut seen = HashSet::new();
        for (at, tool) in config.tools.iter().flatten().enumerate() {
            let path = path.index(at);
            if !self.tools.contains_key(tool.as_str()) && self.grant(tool).is_none() {
                self.unknown(tool, &path);
            } else if !seen.insert(tool.as_str()) {
                self.log.value(&path, format!("{tool} is listed twice"), None);
            }
        }
    }

    fn grant(&self, name: &str) -> Option<McpGrant> {
        if self.tools.contains_key(name) { None } else { mcp::grant(name, self.servers) }
    }

    fn unknown(&self, name: &str, path: &Path<'_>) {
        let (server, rest) = name.split_once('.').map_or((name, None), |(s, r)| (s, Some(r)));
        let message = match rest {
            Some("") => format!("{} names no tool of a server", quoted(name)),
            Some(_) => format!("there is no MCP server {}", quoted(server)),
            None => format!("there is no tool {}", quoted(name)),
        };
        let servers = self.servers.iter().map(|known| match rest {
            Some(rest) => format!("{}.{rest}", known.name),
            None => known.name.clone(),
        });
        let servers: Vec<String> = servers.collect();
        let mut tools: Vec<&str> = self.tools.keys().copied().collect();
        tools.sort_unstable();
        let names = tools.iter().copied().chain(servers.iter().map(String::as_str));
        let none = tools.is_empty() && servers.is_empty();
        let hint = self.log.nearest(name, names);
        let hint = hint.or_else(|| none.then(|| "describe it under tools:".to_owned()));
        self.log.value(path, message, hint);
    }
}
