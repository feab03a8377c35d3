//! What an agent does: ask a model, or run a step.

use std::sync::Arc;
use std::time::Duration;

use super::{HttpPlan, McpGrant, ModelPlan, ProcessPlan, ToolPlan};
use crate::template::Template;

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
    /// To be asked when the one before has failed, in this order.
    pub fallbacks: Vec<ModelPlan>,
    /// role, goal, backstory and instructions, each under its heading; empty if none is given.
    pub system: Vec<Template>,
    pub prompt: Template,
    pub tools: Vec<Arc<ToolPlan>>,
    /// The tools of MCP servers it is given besides.
    pub grants: Vec<McpGrant>,
    /// Decides whether an answer is good.
    pub check: Option<CheckPlan>,
}

impl ModelWork {
    /// Its model, and its fallbacks.
    pub fn models(&self) -> impl Iterator<Item = &ModelPlan> {
        std::iter::once(&self.model).chain(&self.fallbacks)
    }
}

/// A program or a request in place of a model.
#[derive(Debug)]
pub struct StepPlan {
    pub kind: StepKind,
    /// `None`: nothing on standard input.
    pub stdin: Option<Template>,
    pub parse: Parse,
    /// Exit codes of success.
    pub ok_exit_codes: Vec<i32>,
    /// Bytes of stderr that are kept.
    pub max_output: usize,
    /// It needs approval.
    pub confirm: bool,
}

/// What a step runs.
#[derive(Debug)]
pub enum StepKind {
    Process(ProcessPlan),
    Http(Box<HttpPlan>),
}

/// How the output of a step becomes `data`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parse {
    /// It has no `data`.
    #[default]
    Text,
    /// A list of the lines that are not empty.
    Lines,
    Json,
}

/// A program that decides whether an answer is good.
#[derive(Debug)]
pub struct CheckPlan {
    pub process: ProcessPlan,
    /// `None`: the agent's `tool_timeout`.
    pub timeout: Option<Duration>,
    /// Bytes of output that the model is shown.
    pub max_output: usize,
    /// Answers in all, at least 1.
    pub attempts: u32,
}

/// An agent that another one waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Need {
    /// Index into the agents.
    pub agent: usize,
    /// However it ends; `false`: it has to succeed.
    pub done: bool,
}
