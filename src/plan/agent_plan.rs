//! The plan of one agent.

use std::path::PathBuf;
use std::sync::Arc;

use super::flow::ForEachPlan;
use super::http::HttpPlan;
use super::mcp::McpGrant;
use super::settings::AgentSettings;
use super::step_plan::{CheckPlan, StepKind, StepPlan};
use super::tool_plan::{ProcessPlan, ToolPlan};
use crate::attachment::Attached;
use crate::structured::Schema;
use crate::template::{Expression, Template};

#[derive(Debug)]
pub struct AgentPlan {
    pub name: String,
    pub needs: Vec<Need>,
    /// Another agent needs it however it ends.
    pub needed_when_done: bool,
    /// The agent is skipped if this is false.
    pub when: Option<Expression>,
    /// The agent has an instance for each item.
    pub for_each: Option<ForEachPlan>,
    pub work: Work,
    /// The schema of the answer. `None`: any text.
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

    /// The model and its fallbacks; a step has none.
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

    /// The request of an HTTP step.
    pub fn request(&self) -> Option<&HttpPlan> {
        match &self.step()?.kind {
            StepKind::Process(_) => None,
            StepKind::Http(request) => Some(request),
        }
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

/// What an agent does.
#[derive(Debug)]
pub enum Work {
    Model(Box<ModelWork>),
    Step(Box<StepPlan>),
}

/// A conversation with a model.
#[derive(Debug)]
pub struct ModelWork {
    pub model: ModelPlan,
    /// The models to try in this order after `model` has failed.
    pub fallbacks: Vec<ModelPlan>,
    /// The system message, or those of role, goal, backstory and instructions that the file has,
    /// each with its heading.
    pub system: Vec<Template>,
    pub prompt: Template,
    /// The paths of files for the first message, relative to `base_dir`.
    pub attach: Vec<Template>,
    pub base_dir: Arc<PathBuf>,
    /// Files of the command line for the first message.
    pub attached: Vec<Attached>,
    pub tools: Vec<Arc<ToolPlan>>,
    /// The tools of MCP servers that the agent gets as well.
    pub grants: Vec<McpGrant>,
    /// Decides whether an answer is good.
    pub check: Option<CheckPlan>,
}

impl ModelWork {
    /// The model and its fallbacks.
    pub fn models(&self) -> impl Iterator<Item = &ModelPlan> {
        std::iter::once(&self.model).chain(&self.fallbacks)
    }
}

/// An agent that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Index into [`super::CrewPlan::agents`].
    pub agent: usize,
    /// However it ends; `false`: it has to succeed.
    pub done: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelPlan {
    Offline,
    /// `provider` is an index into [`super::CrewPlan::providers`].
    Remote {
        provider: usize,
        model: String,
        label: String,
    },
}

impl ModelPlan {
    /// The name as in the file: `provider/model`, or `offline`.
    pub fn label(&self) -> &str {
        match self {
            Self::Offline => "offline",
            Self::Remote { label, .. } => label,
        }
    }
}
