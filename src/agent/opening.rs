//! The messages that begin the conversation of an agent with its model.

use std::cell::LazyCell;

use minijinja::Value;

use crate::plan::AgentPlan;
use crate::template::{Template, TemplateError};

/// What a model is asked first.
#[derive(Debug)]
pub struct Opening {
    /// The whole system message, with the description of a structured answer.
    pub system: Option<String>,
    pub prompt: String,
}

impl Opening {
    /// Renders the templates of an agent. `values` is called only if one of them needs it.
    ///
    /// # Errors
    /// A template cannot be rendered.
    pub fn of(
        agent: &AgentPlan,
        input: &str,
        values: impl FnOnce() -> Value,
    ) -> Result<Self, TemplateError> {
        let values = LazyCell::new(values);
        let fill = |template: &Template| template.fill(input, || values.clone());
        let mut system = agent.system.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
        system.extend(agent.output_schema.iter().map(|schema| schema.instruction()));
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        Ok(Self { system, prompt: fill(&agent.prompt)? })
    }
}
