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
use crate::structured::Schema;
use crate::template::{Expression, Template, Vars};
use crate::vendor;
use build::Builder;

pub use crate::config::faults::Faults;
pub use budget::{BudgetPlan, Price, Prices};
pub use flow::{ForEachPlan, Items};
pub use http::{BodyPlan, HeaderPlan, HttpPlan, is_dots};
pub use mcp::{McpAccess, McpGrant, McpServerPlan};
pub use provider::{ProviderPlan, RateLimits};
pub use sandbox::SandboxPlan;
pub use settings::AgentSettings;
pub use work::{CheckPlan, ModelWork, Need, Parse, StepKind, StepPlan, Work};

mod agents;
mod budget;
mod build;
mod check;
mod condition;
mod declared;
mod endpoint;
mod facts;
mod flow;
mod graph;
pub mod hosts;
mod http;
mod input;
mod known;
mod mcp;
mod needs;
mod output_schema;
mod provider;
mod rate;
mod result;
mod sandbox;
mod scope;
mod secrets;
mod settings;
mod step;
#[cfg(test)]
mod tests;
mod tools;
mod work;

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
    /// The agent whose answer is the crew's.
    pub output: Option<usize>,
    /// The run fails where this is true, although every agent ended well.
    pub fail_if: Option<Expression>,
    /// All of the file.
    pub mcp_servers: Vec<Arc<McpServerPlan>>,
    /// Values of variables that stand where secrets do.
    pub secrets: Vec<SecretString>,
}

impl CrewPlan {
    /// Those the agents use, each once, in the order of their first use.
    pub fn tools(&self) -> Vec<&ToolPlan> {
        let mut seen = HashSet::new();
        let all = self.agents.iter().flat_map(|agent| agent.tools());
        all.filter(|tool| seen.insert(tool.spec.name.as_str())).map(AsRef::as_ref).collect()
    }

    /// Whether somebody may have to be asked for leave to run a tool.
    pub fn asks(&self) -> bool {
        self.agents.iter().flat_map(|agent| agent.tools()).any(|tool| tool.confirm)
            || self.agents.iter().filter_map(AgentPlan::step).any(|step| step.confirm)
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
        tools.chain(servers).map(sentence).chain(self.missing_programs()).collect()
    }

    fn missing_programs(&self) -> impl Iterator<Item = String> {
        let programs = self.agents.iter().flat_map(|agent| {
            let programs = agent.programs().filter_map(ProcessPlan::missing_program);
            programs.map(|program| (agent.name.as_str(), program))
        });
        programs.map(|(agent, program)| {
            format!("agent {agent} runs {program}, and there is no such program")
        })
    }

    /// Indices of the agents in order of start: those of one wave need only earlier ones.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let needs = |agent: &AgentPlan| agent.needs.iter().map(|need| need.agent).collect();
        let needs: Vec<Vec<usize>> = self.agents.iter().map(needs).collect();
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
    pub needs: Vec<Need>,
    /// Another agent needs it however it ends.
    pub needed_when_done: bool,
    /// It is skipped where this is false.
    pub when: Option<Expression>,
    /// It has an instance for each item.
    pub for_each: Option<ForEachPlan>,
    pub work: Work,
    /// What its answer has to fit; `None`: any text will do.
    pub output_schema: Option<Arc<Schema>>,
    pub settings: AgentSettings,
}

impl AgentPlan {
    /// The model's part; `None` for a step.
    pub fn model_work(&self) -> Option<&ModelWork> {
        match &self.work {
            Work::Model(work) => Some(work),
            Work::Step(_) => None,
        }
    }

    /// The step; `None` for an agent with a model.
    pub fn step(&self) -> Option<&StepPlan> {
        match &self.work {
            Work::Model(_) => None,
            Work::Step(step) => Some(step),
        }
    }

    /// Its model and its fallbacks; a step has none.
    pub fn models(&self) -> impl Iterator<Item = &ModelPlan> {
        self.model_work().into_iter().flat_map(ModelWork::models)
    }

    /// The programs of its step or its check.
    pub fn programs(&self) -> impl Iterator<Item = &ProcessPlan> {
        let (step, check) = match &self.work {
            Work::Model(work) => (None, work.check.as_ref()),
            Work::Step(step) => (Some(step), None),
        };
        let step = step.and_then(|step| match &step.kind {
            StepKind::Process(process) => Some(process),
            StepKind::Http(_) => None,
        });
        step.into_iter().chain(check.map(|check| &check.process))
    }

    /// The tools of the file that its model may call.
    pub fn tools(&self) -> &[Arc<ToolPlan>] {
        self.model_work().map(|work| work.tools.as_slice()).unwrap_or_default()
    }

    /// The tools of MCP servers that its model may call.
    pub fn grants(&self) -> &[McpGrant] {
        self.model_work().map(|work| work.grants.as_slice()).unwrap_or_default()
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
    /// What the model is told, with the schema of all arguments.
    pub spec: ToolSpec,
    /// What checks the arguments of a call.
    pub schema: Arc<Schema>,
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
    /// Environment variables and their values.
    pub set_env: Vec<(String, Template)>,
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
