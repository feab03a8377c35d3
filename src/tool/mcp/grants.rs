//! The tools of MCP servers that an agent's grants cover.

use std::collections::HashSet;
use std::sync::Arc;

use super::failure::excerpt;
use super::names;
use super::offer::OfferedTool;
use crate::chat::ToolSpec;
use crate::plan::{McpGrant, McpServerPlan, McpToolPlan, ToolKind, ToolPlan};
use crate::untrusted::Untrusted;

/// The number of tool names in a message.
const MAX_LISTED_NAMES: usize = 20;

/// The tools that one agent gets from MCP servers.
#[derive(Debug)]
pub struct GrantedTools {
    pub tools: Vec<Arc<ToolPlan>>,
    /// The tools that are missing and why, one sentence each.
    pub notes: Vec<Untrusted>,
    /// Names of the agent's tools, as its model sees them.
    taken_names: HashSet<String>,
    /// Server and name of each tool that a grant has covered so far.
    covered: HashSet<(usize, String)>,
}

impl GrantedTools {
    /// `taken_names` are the names of the agent's other tools.
    pub fn new(taken_names: HashSet<String>) -> Self {
        Self { tools: Vec::new(), notes: Vec::new(), taken_names, covered: HashSet::new() }
    }

    /// Adds the tools that a grant covers, of all that the server offers. A tool that cannot be
    /// used costs a note.
    ///
    /// # Errors
    /// The grant covers no tool, or names a single one that cannot be used.
    pub fn add(
        &mut self,
        grant: &McpGrant,
        server: &McpServerPlan,
        offered: &[OfferedTool],
    ) -> Result<(), Untrusted> {
        let mut matching = offered.iter().filter(|tool| grant.covers(&tool.name)).peekable();
        if matching.peek().is_none() {
            return Err(no_match(&server.name, &grant.pattern, offered).into());
        }
        for tool in matching {
            if !self.covered.insert((grant.server, tool.name.clone())) {
                continue;
            }
            let label = format!("{}.{}", server.name, tool.name);
            let parameters = match &tool.parameters {
                Ok(parameters) => parameters.clone(),
                Err(why) if grant.is_exact() => {
                    let fault = format!("cannot use MCP tool {label}: {why}");
                    return Err(excerpt(&fault).text.into());
                }
                Err(why) => {
                    let note = format!("skipped MCP tool {label}: {why}");
                    self.notes.push(excerpt(&note).text.into());
                    continue;
                }
            };
            self.tools.push(Arc::new(ToolPlan {
                spec: ToolSpec {
                    name: names::unique(&server.name, &tool.name, &mut self.taken_names),
                    description: tool.description.clone(),
                    parameters: parameters.shown(),
                },
                parameters,
                timeout: server.timeout,
                max_output: server.max_output,
                confirm: server.confirm.covers(tool.read_only, tool.destructive),
                kind: ToolKind::Mcp(McpToolPlan {
                    server: grant.server,
                    tool: tool.name.clone(),
                    label,
                }),
            }));
        }
        Ok(())
    }
}

fn no_match(server: &str, pattern: &str, offered: &[OfferedTool]) -> String {
    if pattern == "*" {
        return format!("MCP server {server} offers no tools");
    }
    let names: Vec<&str> =
        offered.iter().take(MAX_LISTED_NAMES).map(|tool| tool.name.as_str()).collect();
    let offer = match offered.len() - names.len() {
        _ if names.is_empty() => "it offers no tools".to_owned(),
        0 => format!("it offers: {}", names.join(", ")),
        more => format!("it offers: {} and {more} more", names.join(", ")),
    };
    excerpt(&format!("MCP server {server} has no tool {pattern}; {offer}")).text
}
