//! Whether a crew uses its input.

use super::agent_plan::{AgentPlan, ModelWork, Work};
use super::crew_plan::CrewPlan;
use super::flow::Items;
use super::http::{BodyPlan, HttpPlan};
use super::step_plan::{StepKind, StepPlan};
use super::tool_plan::{ProcessPlan, ToolCommand, ToolKind, ToolPlan};
use crate::template::{Expression, INPUT, Template};

impl CrewPlan {
    /// Whether a template or an expression of an agent that runs, or of one of its tools, uses
    /// `input`.
    pub fn uses_input(&self) -> bool {
        self.agents.iter().any(AgentPlan::uses_input)
            || self.fail_if.as_ref().is_some_and(|fail_if| {
                fail_if.unselected.is_empty() && expression_uses_input(&fail_if.condition)
            })
    }
}

impl AgentPlan {
    pub(super) fn uses_input(&self) -> bool {
        let items = self.for_each.as_ref().and_then(|plan| match &plan.items {
            Items::List(_) => None,
            Items::Expression(items) => Some(items),
        });
        let key = self.for_each.as_ref().and_then(|plan| plan.key.as_ref());
        self.when.iter().chain(items).any(expression_uses_input)
            || key.is_some_and(uses_input)
            || match &self.work {
                Work::Model(work) => work.uses_input(),
                Work::Step(step) => step.uses_input(),
            }
    }
}

impl ModelWork {
    fn uses_input(&self) -> bool {
        self.system.iter().chain([&self.prompt]).chain(&self.attach).any(uses_input)
            || self.tools.iter().any(|tool| tool.uses_input())
            || self.check.as_ref().is_some_and(|check| check.process.uses_input())
    }
}

impl StepPlan {
    fn uses_input(&self) -> bool {
        self.stdin.as_ref().is_some_and(uses_input)
            || match &self.kind {
                StepKind::Process(process) => process.uses_input(),
                StepKind::Http(http) => http.uses_input(),
            }
    }
}

impl ToolPlan {
    fn uses_input(&self) -> bool {
        match &self.kind {
            ToolKind::Process(process) => process.uses_input(),
            ToolKind::Http(http) => http.uses_input(),
            ToolKind::Mcp(_) => false,
        }
    }
}

impl ProcessPlan {
    fn uses_input(&self) -> bool {
        let arguments = match &self.command {
            ToolCommand::Argv(arguments) => arguments.as_slice(),
            ToolCommand::Shell(_) => &[],
        };
        let values = self.set_env.iter().map(|(_, value)| value);
        arguments.iter().chain(&self.cwd).chain(values).any(uses_input)
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

fn expression_uses_input(expression: &Expression) -> bool {
    expression.source().contains("input")
        && expression.names().iter().any(|name| name.split('.').next() == Some("input"))
}
