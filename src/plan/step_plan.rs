//! The plans of steps and checks.

use std::time::Duration;

use super::http::HttpPlan;
use super::tool_plan::ProcessPlan;
use crate::template::Template;

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
