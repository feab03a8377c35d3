//! The plan of a whole crew.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::agent_plan::AgentPlan;
use super::budget::BudgetPlan;
use super::graph;
use super::http::HttpPlan;
use super::mcp::{Confirm, McpAccess, McpServerPlan};
use super::on_failure::OnFailure;
use super::prices::Prices;
use super::provider::ProviderPlan;
use super::tool_plan::{ToolKind, ToolPlan};
use crate::template::{Expression, Vars};

#[derive(Debug)]
pub struct CrewPlan {
    pub name: String,
    pub description: Option<String>,
    /// The path of the crew's file, as found.
    pub file: PathBuf,
    /// The files that it includes and those with its prompts.
    pub included: Vec<PathBuf>,
    /// `vars` of the file, overridden by `--var`; for templates.
    pub vars: Arc<Vars>,
    pub limits: Limits,
    /// The budget of the whole run.
    pub budget: BudgetPlan,
    pub prices: Prices,
    /// The selected agents and those they need, in the order of the file.
    pub agents: Vec<AgentPlan>,
    /// The providers that the agents use, each once.
    pub providers: Vec<ProviderPlan>,
    /// The agent whose answer is the crew's.
    pub output: Option<usize>,
    /// The agent that the file's `output` names, if it was not selected.
    pub unselected_output: Option<String>,
    pub fail_if: Option<FailIfPlan>,
    /// All MCP servers of the file.
    pub mcp_servers: Vec<Arc<McpServerPlan>>,
    /// The values of variables at places for secrets.
    pub secrets: Vec<SecretString>,
}

/// The run fails if a condition is true, although every agent ended well.
#[derive(Debug)]
pub struct FailIfPlan {
    pub condition: Expression,
    /// The agents that it is about and that were not selected. With any, it is not evaluated.
    pub unselected: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub timeout: Duration,
    /// The time between asking a tool to stop and killing it.
    pub grace: Duration,
    /// The maximum of agents at once. `None`: no limit.
    pub max_parallel: Option<usize>,
    pub on_failure: OnFailure,
}

impl CrewPlan {
    /// The tools that the agents use, each once, in the order of their first use.
    pub fn tools(&self) -> Vec<&ToolPlan> {
        let mut seen = HashSet::new();
        let all = self.agents.iter().flat_map(AgentPlan::tools);
        all.filter(|tool| seen.insert(tool.spec.name.as_str())).map(AsRef::as_ref).collect()
    }

    /// The requests of HTTP tools and HTTP steps.
    pub fn requests(&self) -> Vec<&HttpPlan> {
        let tools = self.tools().into_iter().filter_map(|tool| match &tool.kind {
            ToolKind::Http(request) => Some(&**request),
            ToolKind::Process(_) | ToolKind::Mcp(_) => None,
        });
        tools.chain(self.agents.iter().filter_map(AgentPlan::request)).collect()
    }

    /// Leaves each provider the share of its rates that one of so many processes may use.
    pub fn share_rates(&mut self, processes: u32) {
        for provider in &mut self.providers {
            provider.limits = provider.limits.share(processes);
        }
    }

    /// Whether a tool call or a step may need approval.
    pub fn needs_approval(&self) -> bool {
        self.agents.iter().flat_map(AgentPlan::tools).any(|tool| tool.confirm)
            || self.agents.iter().filter_map(AgentPlan::step).any(|step| step.confirm)
            || self.mcp_servers.iter().any(|server| server.confirm != Confirm::Never)
    }

    /// What is not done as the file says, a sentence each: the parts of sandboxes that this system
    /// cannot enforce, and a `fail_if` about agents that were not selected.
    pub fn warnings(&self) -> Vec<String> {
        let tools = self.tools().into_iter().filter_map(|tool| match &tool.kind {
            ToolKind::Process(process) => {
                Some(("tool", &tool.spec.name, process.sandbox.as_ref()?.lacking.as_ref()?))
            }
            ToolKind::Http(_) | ToolKind::Mcp(_) => None,
        });
        let servers = self.mcp_servers.iter().filter_map(|server| match &server.access {
            McpAccess::Process { sandbox, .. } => {
                Some(("MCP server", &server.name, sandbox.as_ref()?.lacking.as_ref()?))
            }
            McpAccess::Http { .. } => None,
        });
        let sentence = |(kind, name, lacking)| {
            format!("the sandbox of {kind} {name} is not fully enforced: {lacking}")
        };
        let agents = self.agents.iter().flat_map(|agent| {
            let programs = agent.programs();
            let lacking = programs.filter_map(|program| program.sandbox.as_ref()?.lacking.as_ref());
            lacking.map(|lacking| ("agent", &agent.name, lacking))
        });
        let sandboxes = tools.chain(servers).chain(agents).map(sentence);
        let unselected = self.fail_if.iter().map(|fail_if| fail_if.unselected.join(", "));
        let unselected = unselected.filter(|names| !names.is_empty());
        let dropped = |names| format!("fail_if is not evaluated: --agents leaves out {names}");
        sandboxes.chain(unselected.map(dropped)).collect()
    }

    /// The indices of the agents in order of start. Agents of one wave need only agents of earlier
    /// ones.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let needs = |agent: &AgentPlan| agent.needs.iter().map(|need| need.agent).collect();
        let needs: Vec<Vec<usize>> = self.agents.iter().map(needs).collect();
        graph::waves(&needs)
    }
}
