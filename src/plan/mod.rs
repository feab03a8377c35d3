//! What will run: names resolved, limits filled in, every value checked.
//!
//! [`load`] turns what the user wrote into a [`CrewPlan`] or into every fault of it at once. After
//! it, the only things that can still be wrong are outside the file.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::chat::ToolSpec;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::{self, find};
use crate::structured::{Parameters, Schema};
use crate::template::{Template, Vars};
use crate::vendor;
use build::Builder;

pub use crate::config::faults::Faults;
pub use budget::{BudgetPlan, Price, Prices};
pub use http::{BodyPlan, HeaderPlan, HttpPlan, is_dots};
pub use mcp::{McpAccess, McpGrant, McpServerPlan};
pub use provider::{ProviderPlan, RateLimits};
pub use sandbox::SandboxPlan;
pub use settings::AgentSettings;

mod agents;
mod budget;
mod build;
mod check;
mod declared;
mod endpoint;
mod graph;
pub mod hosts;
mod http;
mod input;
mod known;
mod mcp;
mod output_schema;
mod provider;
mod rate;
mod sandbox;
mod scope;
mod secrets;
mod settings;
#[cfg(test)]
mod tests;
mod tools;

/// What the command line says in place of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Run these and what they need; all if empty.
    pub agents: Vec<String>,
    pub vars: Vec<(String, String)>,
    /// For every agent.
    pub model: Option<String>,
    /// Every agent's model is `offline`.
    pub offline: bool,
    pub timeout: Option<Duration>,
    pub max_parallel: Option<usize>,
    pub on_failure: Option<OnFailure>,
}

/// Finds the crew's file, unless one is named, and makes a plan of it, or says everything that is
/// wrong with it.
pub fn load(file: Option<&Path>, overrides: &Overrides, env: Env<'_>) -> Result<CrewPlan, Faults> {
    let file = find::find(file, env)?;
    let source = find::read(&file)?;
    read(file, source, overrides, env)
}

/// As [`load`], from the text of a file.
pub(crate) fn read(
    file: PathBuf,
    source: String,
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<CrewPlan, Faults> {
    let mut log = FaultLog::default();
    let plan =
        config::parse(&source, env, &vendor::key_variables(), &mut log).map(|(crew, keys)| {
            Builder { crew: &crew, keys: &keys, overrides, env, log: &log }.plan(&file)
        });
    match plan {
        Ok(plan) if log.is_empty() => Ok(plan),
        _ => Err(log.finish(Some(file), source)),
    }
}

#[derive(Debug)]
pub struct CrewPlan {
    pub name: String,
    pub description: Option<String>,
    /// The file it came from, as found.
    pub file: PathBuf,
    /// `vars` of the file, overridden by `--var`; for templates.
    pub vars: Arc<Vars>,
    pub limits: Limits,
    /// Of the whole run.
    pub budget: BudgetPlan,
    pub prices: Prices,
    /// In file order, the selected ones and what they need only.
    pub agents: Vec<AgentPlan>,
    /// Those the agents use, each once.
    pub providers: Vec<ProviderPlan>,
    /// All of the file.
    pub mcp_servers: Vec<Arc<McpServerPlan>>,
    /// Values of variables that stand where secrets do.
    pub secrets: Vec<SecretString>,
}

impl CrewPlan {
    /// Those the agents use, each once, in the order of their first use.
    pub fn tools(&self) -> Vec<&ToolPlan> {
        let mut seen = HashSet::new();
        let all = self.agents.iter().flat_map(|agent| &agent.tools);
        all.filter(|tool| seen.insert(tool.spec.name.as_str())).map(AsRef::as_ref).collect()
    }

    /// Whether somebody may have to be asked for leave to run a tool.
    pub fn asks(&self) -> bool {
        self.agents.iter().flat_map(|agent| &agent.tools).any(|tool| tool.confirm)
            || self.mcp_servers.iter().any(|server| server.confirm)
    }

    /// What this system cannot keep of the tools' sandboxes, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let process = |tool: &'_ ToolPlan| match &tool.kind {
            ToolKind::Process(process) => process.sandbox.as_ref()?.lacking.clone(),
            ToolKind::Http(_) | ToolKind::Mcp(_) => None,
        };
        let tools = self.tools().into_iter();
        let tools = tools.filter_map(|tool| Some(("tool", &*tool.spec.name, process(tool)?)));
        let servers = self.mcp_servers.iter().filter_map(|server| match &server.access {
            McpAccess::Process { sandbox: Some(sandbox), .. } => {
                Some(("MCP server", &*server.name, sandbox.lacking.clone()?))
            }
            _ => None,
        });
        let sentence = |(what, name, lacking)| {
            format!("the sandbox of {what} {name} is not fully kept: {lacking}")
        };
        tools.chain(servers).map(sentence).collect()
    }

    /// Indices of the agents in order of start: those of one wave need only earlier ones.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let needs: Vec<Vec<usize>> = self.agents.iter().map(|agent| agent.needs.clone()).collect();
        graph::waves(&needs)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub timeout: Duration,
    /// Between asking a tool to stop and killing it.
    pub grace: Duration,
    /// Agents at once; `None`: no limit.
    pub max_parallel: Option<usize>,
    pub on_failure: OnFailure,
}

/// What a failed agent means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Cancel,
    Continue,
}

#[derive(Debug)]
pub struct AgentPlan {
    pub name: String,
    /// Indices into [`CrewPlan::agents`].
    pub needs: Vec<usize>,
    pub model: ModelPlan,
    /// To be asked when the one before has failed, in this order.
    pub fallbacks: Vec<ModelPlan>,
    /// role, goal, backstory and instructions, each under its heading; empty if none is given.
    pub system: Vec<Template>,
    pub prompt: Template,
    pub tools: Vec<Arc<ToolPlan>>,
    /// The tools of MCP servers it is given besides.
    pub grants: Vec<McpGrant>,
    /// What its answer has to fit; `None`: any text will do.
    pub output_schema: Option<Arc<Schema>>,
    pub settings: AgentSettings,
}

impl AgentPlan {
    /// Its model, and those that stand in for it.
    pub fn models(&self) -> impl Iterator<Item = &ModelPlan> {
        std::iter::once(&self.model).chain(&self.fallbacks)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlan {
    Offline,
    /// `provider` is an index into [`CrewPlan::providers`].
    Remote {
        provider: usize,
        model: String,
        label: String,
    },
}

impl ModelPlan {
    /// As a user writes it: `provider/model`, or `offline`.
    pub fn label(&self) -> &str {
        match self {
            Self::Offline => "offline",
            Self::Remote { label, .. } => label,
        }
    }
}

#[derive(Debug)]
pub struct ToolPlan {
    /// What the model is shown.
    pub spec: ToolSpec,
    /// What checks the arguments of a call.
    pub parameters: Arc<Parameters>,
    /// `None`: the agent's `tool_timeout`.
    pub timeout: Option<Duration>,
    /// Bytes.
    pub max_output: usize,
    /// Each call needs somebody's leave.
    pub confirm: bool,
    pub kind: ToolKind,
}

impl ToolPlan {
    /// As it is called in the file; the model may know it by another name.
    pub fn label(&self) -> &str {
        match &self.kind {
            ToolKind::Mcp(tool) => &tool.label,
            _ => &self.spec.name,
        }
    }
}

/// What a call of a tool does.
#[derive(Debug)]
pub enum ToolKind {
    Process(ProcessPlan),
    Http(Box<HttpPlan>),
    /// Known only once its server runs.
    Mcp(McpToolPlan),
}

/// A tool of an MCP server.
#[derive(Debug)]
pub struct McpToolPlan {
    /// Index into [`CrewPlan::mcp_servers`].
    pub server: usize,
    /// As the server knows it.
    pub tool: String,
    /// `server.tool`, as people know it.
    pub label: String,
}

/// A program to start.
#[derive(Debug)]
pub struct ProcessPlan {
    pub command: ToolCommand,
    /// Rendered, it is relative to `base_dir`; `None`: where crew was started.
    pub cwd: Option<Template>,
    /// The folder of the crew's file.
    pub base_dir: Arc<PathBuf>,
    /// Names of environment variables passed on besides the usual ones.
    pub env: Vec<String>,
    /// `None`: it may do what its user may.
    pub sandbox: Option<SandboxPlan>,
}

#[derive(Debug)]
pub enum ToolCommand {
    /// An argument vector; each template fills exactly one argument.
    Argv(Vec<Template>),
    /// For `sh -c`, verbatim; arguments arrive as environment variables.
    Shell(String),
}
