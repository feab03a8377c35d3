//! The options that override a file.

use std::time::Duration;

use super::on_failure::OnFailure;
use crate::attachment::Attached;

/// Options of the command line that override the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The agents to run, with those they need. If empty, all agents.
    pub agents: Vec<String>,
    /// `agents` are those of an earlier run, whose crew may have had others.
    pub earlier_agents: bool,
    pub vars: Vec<(String, String)>,
    /// The model of every agent.
    pub model: Option<String>,
    /// Every agent uses the model `offline`.
    pub offline: bool,
    /// A recording answers: no API key is needed.
    pub replay: bool,
    pub timeout: Option<Duration>,
    pub max_parallel: Option<usize>,
    pub on_failure: Option<OnFailure>,
    /// Files for the first message of every agent that uses `input`.
    pub attached: Vec<Attached>,
}
