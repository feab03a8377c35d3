//! `crew render`: system message, prompt, tools and schema of each agent.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

use super::paint::{BAD, STRONG, paint};
use super::{Look, json};
use crate::agent::{Opening, OpeningError};
use crate::chat::{Attachment, ToolSpec};
use crate::exit::ExitStatus;
use crate::plan::{AgentPlan, CrewPlan};
use crate::report::{RunStatus, SCHEMA_VERSION};
use crate::secret::Secrets;
use crate::text::{inline, sanitize};

/// The JSON document of `crew render`.
#[derive(Debug, Serialize)]
pub struct RenderReport {
    schema_version: u32,
    status: RunStatus,
    exit_code: u8,
    crew: String,
    input: String,
    /// In the order of the file; a map in JSON.
    #[serde(serialize_with = "as_map")]
    agents: Vec<RenderedAgent>,
}

/// What the model of an agent would be asked, without secrets.
#[derive(Debug, Serialize)]
pub struct RenderedAgent {
    #[serde(skip)]
    name: String,
    /// The models in the order in which they are tried.
    models: Vec<String>,
    system: Option<String>,
    /// `None`: it cannot be rendered.
    prompt: Option<String>,
    /// The images and PDF that go with the prompt.
    attachments: Vec<RenderedFile>,
    /// Why the prompt or the system message cannot be rendered.
    error: Option<String>,
    tools: Vec<RenderedTool>,
    /// What the agent may use of MCP servers, as `server.pattern`. Only the servers know more.
    mcp_tools: Vec<String>,
    output_schema: Option<Value>,
}

#[derive(Debug, Serialize)]
struct RenderedFile {
    name: String,
    media_type: &'static str,
}

impl From<Attachment> for RenderedFile {
    fn from(file: Attachment) -> Self {
        Self { name: file.name, media_type: file.media_type.name() }
    }
}

#[derive(Debug, Serialize)]
struct RenderedTool {
    name: String,
    description: String,
    parameters: Value,
}

fn as_map<S: Serializer>(agents: &[RenderedAgent], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(agents.len()))?;
    agents.iter().try_for_each(|agent| map.serialize_entry(&agent.name, agent))?;
    map.end()
}

impl RenderReport {
    pub fn new(plan: &CrewPlan, input: &str, agents: Vec<RenderedAgent>) -> Self {
        let has_failed = agents.iter().any(|agent| agent.error.is_some());
        let (status, word) = match has_failed {
            true => (ExitStatus::Failure, RunStatus::Failed),
            false => (ExitStatus::Success, RunStatus::Succeeded),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            status: word,
            exit_code: status.code(),
            crew: plan.name.clone(),
            input: plan.secrets().redact(input.to_owned()),
            agents,
        }
    }

    pub fn status(&self) -> ExitStatus {
        match self.status {
            RunStatus::Succeeded => ExitStatus::Success,
            _ => ExitStatus::Failure,
        }
    }
}

impl RenderedAgent {
    /// `name` is that of the agent or of one of its instances.
    pub fn new(
        plan: &CrewPlan,
        agent: &AgentPlan,
        name: String,
        opening: Result<Opening, OpeningError>,
    ) -> Self {
        let secrets = plan.secrets();
        let (system, prompt, files, error) = match opening {
            Ok(Opening { system, prompt, files }) => (system, Some(prompt), files, None),
            Err(error) => (None, None, Vec::new(), Some(error.to_string())),
        };
        let grants = agent.grants().iter();
        let schema = agent.output_schema.as_ref().map(|schema| schema.schema().clone());
        Self {
            name,
            models: agent.models().map(|model| model.label().to_owned()).collect(),
            system: system.map(|text| secrets.redact(text)),
            prompt: prompt.map(|text| secrets.redact(text)),
            attachments: files.into_iter().map(RenderedFile::from).collect(),
            error: error.map(|text| secrets.redact(text)),
            tools: tools(agent, &secrets),
            mcp_tools: grants
                .map(|grant| format!("{}.{}", plan.mcp_servers[grant.server].name, grant.pattern))
                .collect(),
            output_schema: schema.map(|schema| secrets.redact_value(schema)),
        }
    }
}

fn tools(agent: &AgentPlan, secrets: &Secrets) -> Vec<RenderedTool> {
    let tool = |spec: &ToolSpec| RenderedTool {
        name: spec.name.clone(),
        description: secrets.redact(spec.description.clone()),
        parameters: secrets.redact_value(spec.parameters.as_ref().clone()),
    };
    agent.tools().iter().map(|planned| tool(&planned.spec)).collect()
}

/// Writes the same as Markdown.
pub fn rendered(
    report: &RenderReport,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    for (at, agent) in report.agents.iter().enumerate() {
        if at > 0 {
            writeln!(out)?;
        }
        write_agent(agent, look, out)?;
    }
    Ok(())
}

fn write_agent(
    agent: &RenderedAgent,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let heading =
        |level: &str, title: &str| paint(&format!("{level} {title}"), STRONG, look.colour);
    writeln!(out, "{}\n", heading("#", &inline(&agent.name)))?;
    writeln!(out, "model: {}", inline(&agent.models.join(", then ")))?;
    if let Some(error) = &agent.error {
        let label = paint("error", BAD, look.colour);
        return writeln!(out, "\n{label}: {}", inline(error));
    }
    for (title, text) in [("system", &agent.system), ("prompt", &agent.prompt)] {
        if let Some(text) = text {
            writeln!(out, "\n{}\n\n{}", heading("##", title), sanitize(text).trim_end())?;
        }
    }
    for file in &agent.attachments {
        let title = heading("##", &format!("file {}", inline(&file.name)));
        writeln!(out, "\n{title}\n\n{}", file.media_type)?;
    }
    for tool in &agent.tools {
        writeln!(out, "\n{}\n", heading("##", &format!("tool {}", inline(&tool.name))))?;
        writeln!(out, "{}\n", sanitize(&tool.description).trim_end())?;
        json(&tool.parameters, out)?;
    }
    if !agent.mcp_tools.is_empty() {
        let tools = agent.mcp_tools.join(", ");
        writeln!(out, "\n{}\n\n{}", heading("##", "tools of MCP servers"), inline(&tools))?;
    }
    if let Some(schema) = &agent.output_schema {
        writeln!(out, "\n{}\n", heading("##", "output_schema"))?;
        json(schema, out)?;
    }
    Ok(())
}
