//! Whether a crew uses its input.

use super::agent_plan::AgentPlan;
use super::crew_plan::CrewPlan;
use super::http::{BodyPlan, HttpPlan};
use super::tool_plan::{ToolCommand, ToolKind, ToolPlan};
use crate::template::{INPUT, Template};

impl CrewPlan {
    /// Whether a template of an agent that runs, or of one of its tools, uses `input`.
    pub fn uses_input(&self) -> bool {
        self.agents.iter().any(AgentPlan::uses_input)
    }
}

impl AgentPlan {
    pub(super) fn uses_input(&self) -> bool {
        let mut templates = self.system.iter().chain([&self.prompt]).chain(&self.attach);
        templates.any(uses_input) || self.tools.iter().any(|tool| tool.uses_input())
    }
}

impl ToolPlan {
    fn uses_input(&self) -> bool {
        match &self.kind {
            ToolKind::Process(process) => {
                let arguments = match &process.command {
                    ToolCommand::Argv(arguments) => arguments.as_slice(),
                    ToolCommand::Shell(_) => &[],
                };
                arguments.iter().chain(&process.cwd).any(uses_input)
            }
            ToolKind::Http(http) => http.uses_input(),
            ToolKind::Mcp(_) => false,
        }
    }
}

impl HttpPlan {
    fn uses_input(&self) -> bool {
        let query = self.query.iter().map(|(_, value)| value);
        let headers = self.headers.iter().map(|header| &header.value);
        self.path.iter().chain(query).chain(headers).any(uses_input)
            || self.body.as_ref().is_some_and(BodyPlan::uses_input)
    }
}

impl BodyPlan {
    fn uses_input(&self) -> bool {
        match self {
            Self::Text(template) => uses_input(template),
            Self::List(items) => items.iter().any(Self::uses_input),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.uses_input()),
            Self::Plain(_) => false,
        }
    }
}

fn uses_input(template: &Template) -> bool {
    let source = template.source();
    let is_root = |name: &String| name.split('.').next() == Some("input");
    source == INPUT || source.contains("input") && template.names().iter().any(is_root)
}
