//! The names that agents may list in `tools`: tools of the file, MCP servers and their tools.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::check;
use super::mcp::{self, McpGrant, McpServerPlan};
use super::tool_plan::ToolPlan;
use crate::config::faults::FaultLog;
use crate::config::place::Path;
use crate::text::quoted;

pub struct ToolIndex<'a> {
    /// `None` for a tool with faults.
    pub tools: HashMap<&'a str, Option<Arc<ToolPlan>>>,
    pub servers: &'a [Arc<McpServerPlan>],
    pub log: &'a FaultLog,
}

impl ToolIndex<'_> {
    /// The tools of the file and the tools of servers in a list of names.
    pub fn of(&self, names: &[String]) -> (Vec<Arc<ToolPlan>>, Vec<McpGrant>) {
        let named = names.iter();
        let tools = named.clone().filter_map(|name| self.tools.get(name.as_str())?.clone());
        (tools.collect(), named.filter_map(|name| self.grant(name)).collect())
    }

    /// Logs unknown and duplicate names.
    pub fn check(&self, names: &[String], path: &Path<'_>) {
        let mut seen = HashSet::new();
        for (at, tool) in names.iter().enumerate() {
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
        let (server, rest) = match name.split_once('.') {
            Some((server, "")) => {
                let message = format!("{} lacks the name of a tool after the dot", quoted(name));
                let hint = format!("write {} for all tools of the server", quoted(server));
                return self.log.value(path, message, Some(hint));
            }
            Some((server, rest)) => (server, Some(rest)),
            None => (name, None),
        };
        let message = match rest {
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
        let names = || tools.iter().copied().chain(servers.iter().map(String::as_str));
        let hint = self.log.nearest(name, names()).or_else(|| check::known(names()));
        let hint = hint.unwrap_or_else(|| "define it under tools:".to_owned());
        self.log.value(path, message, Some(hint));
    }
}
