//! Whether a crew uses its input.

use super::agent_plan::{AgentPlan, ModelWork, Work};
use super::crew_plan::CrewPlan;
use super::flow::Items;
use super::http::{BodyPlan, HttpPlan};
use super::step_plan::{StepKind, StepPlan};
use super::tool_plan::{ProcessPlan, ToolCommand, ToolKind, ToolPlan};
use crate::template::{Expression, INPUT, Template};

/// How something uses the input.
#[derive(Debug, Clone, Copy)]
enum Use {
    InAnyWay,
    /// As an object: `input.field`.
    InParts,
}

impl CrewPlan {
    /// Whether a template or an expression of an agent that runs, or of one of its tools, uses
    /// `input`.
    pub fn uses_input(&self) -> bool {
        self.uses(Use::InAnyWay)
    }

    /// Whether one of them uses parts of the input, which therefore has to be an object.
    pub fn uses_input_parts(&self) -> bool {
        self.uses(Use::InParts)
    }

    fn uses(&self, how: Use) -> bool {
        self.agents.iter().any(|agent| agent.uses(how))
            || self.fail_if.as_ref().is_some_and(|fail_if| {
                fail_if.unselected.is_empty() && how.in_expression(&fail_if.condition)
            })
    }
}

impl AgentPlan {
    pub(super) fn uses_input(&self) -> bool {
        self.uses(Use::InAnyWay)
    }

    fn uses(&self, how: Use) -> bool {
        let items = self.for_each.as_ref().and_then(|plan| match &plan.items {
            Items::List(_) => None,
            Items::Expression(items) => Some(items),
        });
        let key = self.for_each.as_ref().and_then(|plan| plan.key.as_ref());
        self.when.iter().chain(items).any(|expression| how.in_expression(expression))
            || key.is_some_and(|key| how.in_template(key))
            || match &self.work {
                Work::Model(work) => work.uses(how),
                Work::Step(step) => step.uses(how),
            }
    }
}

impl ModelWork {
    fn uses(&self, how: Use) -> bool {
        self.system
            .iter()
            .chain([&self.prompt])
            .chain(&self.attach)
            .any(|template| how.in_template(template))
            || self.tools.iter().any(|tool| tool.uses(how))
            || self.check.as_ref().is_some_and(|check| check.process.uses(how))
    }
}

impl StepPlan {
    fn uses(&self, how: Use) -> bool {
        self.stdin.as_ref().is_some_and(|template| how.in_template(template))
            || match &self.kind {
                StepKind::Process(process) => process.uses(how),
                StepKind::Http(http) => http.uses(how),
            }
    }
}

impl ToolPlan {
    fn uses(&self, how: Use) -> bool {
        match &self.kind {
            ToolKind::Process(process) => process.uses(how),
            ToolKind::Http(http) => http.uses(how),
            ToolKind::Mcp(_) => false,
        }
    }
}

impl ProcessPlan {
    fn uses(&self, how: Use) -> bool {
        let arguments = match &self.command {
            ToolCommand::Argv(arguments) => arguments.as_slice(),
            ToolCommand::Shell(_) => &[],
        };
        let values = self.set_env.iter().map(|(_, value)| value);
        arguments.iter().chain(&self.cwd).chain(values).any(|template| how.in_template(template))
    }
}

impl HttpPlan {
    fn uses(&self, how: Use) -> bool {
        let query = self.query.iter().map(|(_, value)| value);
        let headers = self.headers.iter().map(|header| &header.value);
        self.path.iter().chain(query).chain(headers).any(|template| how.in_template(template))
            || self.body.as_ref().is_some_and(|body| body.uses(how))
    }
}

impl BodyPlan {
    fn uses(&self, how: Use) -> bool {
        match self {
            Self::Text(template) => how.in_template(template),
            Self::List(items) => items.iter().any(|item| item.uses(how)),
            Self::Map(entries) => entries.iter().any(|(_, value)| value.uses(how)),
            Self::Plain(_) => false,
        }
    }
}

impl Use {
    fn in_template(self, template: &Template) -> bool {
        let source = template.source();
        match self {
            Self::InAnyWay if source == INPUT => true,
            _ => source.contains("input") && self.is_one_of(&template.names()),
        }
    }

    fn in_expression(self, expression: &Expression) -> bool {
        expression.source().contains("input") && self.is_one_of(&expression.names())
    }

    fn is_one_of(self, names: &[String]) -> bool {
        names.iter().any(|name| match (name.split_once('.'), self) {
            (None, Self::InAnyWay) => name == "input",
            (None, Self::InParts) => false,
            (Some((root, _)), _) => root == "input",
        })
    }
}
