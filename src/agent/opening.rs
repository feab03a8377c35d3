//! The messages that begin the conversation of an agent with its model.

use std::path::Path;
use std::sync::LazyLock;

use minijinja::Value;

use crate::attachment::{self, Attached, AttachmentError};
use crate::chat::Attachment;
use crate::plan::{AgentPlan, ModelWork};
use crate::template::{RunInput, Template, TemplateError, Wait};

/// What a model is asked first.
#[derive(Debug)]
pub struct Opening {
    /// The whole system message, with the description of a structured answer.
    pub system: Option<String>,
    /// The prompt with the texts that are attached.
    pub prompt: String,
    pub files: Vec<Attachment>,
}

/// Why an agent has no prompt.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    #[error("{0}")]
    Template(#[from] TemplateError),
    #[error("cannot attach {path}: {error}")]
    Attachment { path: String, error: AttachmentError },
}

impl Opening {
    /// Renders the templates of an agent and reads its attachments. `values` is called only if a
    /// template needs it.
    ///
    /// # Errors
    /// A template cannot be rendered, or a file cannot be attached.
    pub async fn of(
        agent: &AgentPlan,
        work: &ModelWork,
        input: &RunInput,
        values: impl FnOnce() -> Value,
        wait: Wait,
    ) -> Result<Self, OpeningError> {
        let values = LazyLock::new(values);
        let fill = async |template: &Template| {
            template.fill(input, || LazyLock::force(&values).clone(), wait).await
        };
        let mut system = Vec::with_capacity(work.system.len() + 1);
        for template in &work.system {
            system.push(fill(template).await?);
        }
        system.extend(agent.output_schema.iter().map(|schema| schema.instruction()));
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        let mut attached = work.attached.clone();
        for template in &work.attach {
            attached.push(read(&work.base_dir.join(fill(template).await?))?);
        }
        let (prompt, files) = attachment::with_prompt(attached, fill(&work.prompt).await?);
        Ok(Self { system, prompt, files })
    }
}

fn read(path: &Path) -> Result<Attached, OpeningError> {
    let path_text = || path.to_string_lossy().into_owned();
    Attached::read(path).map_err(|error| OpeningError::Attachment { path: path_text(), error })
}
