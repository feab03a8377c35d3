//! The plan of one agent.

use std::path::PathBuf;
use std::sync::Arc;

use super::mcp::McpGrant;
use super::settings::AgentSettings;
use super::tool_plan::ToolPlan;
use crate::attachment::Attached;
use crate::structured::Schema;
use crate::template::Template;

#[derive(Debug)]
pub struct AgentPlan {
    pub name: String,
    /// Indices into [`super::CrewPlan::agents`].
    pub needs: Vec<usize>,
    pub model: ModelPlan,
    /// The models to try in this order after `model` has failed.
    pub fallbacks: Vec<ModelPlan>,
    /// Those of role, goal, backstory and instructions that the file has, each with its heading.
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
    /// The schema of the answer. `None`: any text.
    pub output_schema: Option<Arc<Schema>>,
    pub settings: AgentSettings,
}

impl AgentPlan {
    /// The model and its fallbacks.
    pub fn models(&self) -> impl Iterator<Item = &ModelPlan> {
        std::iter::once(&self.model).chain(&self.fallbacks)
    }
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
