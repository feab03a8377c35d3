//! Checks agents: their models, messages and settings.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::agent_plan::{AgentPlan, ModelPlan};
use super::check::{self, Origin};
use super::endpoint::{Endpoints, ModelName};
use super::mcp::McpGrant;
use super::scope::{Scope, Structured};
use super::settings::AgentSettings;
use super::tool_plan::ToolPlan;
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, ModelTexts, SettingsConfig};
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::{INPUT, Template, Vars};
use crate::text::quoted;

/// The path of the options that all agents have in common.
pub const DEFAULTS: Path<'static> = Path::Key(&Path::Root, "defaults");

/// The options that an agent can override, with `defaults` and the built-in defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    model: Model,
    settings: AgentSettings,
    prompt: Option<String>,
    instructions: Option<String>,
}

#[derive(Debug, Clone, Default)]
enum Model {
    #[default]
    Missing,
    /// Its fault has been logged.
    Faulty,
    /// At least one. Each replaces the one before it when that fails.
    Given(Vec<ModelName>),
}

impl Defaults {
    /// These defaults, except where the file gives other values.
    pub fn with(
        &self,
        given: &SettingsConfig,
        path: &Path<'_>,
        endpoints: &Endpoints,
        log: &FaultLog,
    ) -> Self {
        let model = match &given.model {
            None => self.model.clone(),
            Some(texts) => models(texts, &path.key("model"), endpoints, log),
        };
        Self { model, settings: self.settings.with(given, path, log), ..self.clone() }
    }

    pub fn with_texts(self, prompt: Option<String>, instructions: Option<String>) -> Self {
        Self { prompt, instructions, ..self }
    }
}

fn models(texts: &ModelTexts, path: &Path<'_>, endpoints: &Endpoints, log: &FaultLog) -> Model {
    if texts.texts.is_empty() {
        log.value(path, "the list is empty", None);
        return Model::Faulty;
    }
    let model = |(at, text): (usize, &String)| {
        let item = path.index(at);
        let path = if texts.is_list { &item } else { path };
        if texts.texts[..at].contains(text) {
            log.value(path, format!("{} is listed twice", quoted(text)), None);
        }
        endpoints.model(text, &Origin::File(path), log)
    };
    let found: Vec<_> = texts.texts.iter().enumerate().map(model).collect();
    found.into_iter().collect::<Option<_>>().map_or(Model::Faulty, Model::Given)
}

/// The context in which agents are checked.
pub struct AgentChecker<'a> {
    pub vars: &'a Vars,
    pub defaults: &'a Defaults,
    pub endpoints: &'a Endpoints,
    /// The names of all agents of the file.
    pub names: &'a HashSet<&'a str>,
    pub structured: &'a Structured<'a>,
    pub log: &'a FaultLog,
}

/// A checked agent, without its models, tools and needs.
#[derive(Debug)]
pub struct AgentDraft {
    name: String,
    /// Whether the agent itself chooses its model.
    pub has_own_model: bool,
    defaults: Defaults,
    system: Vec<Template>,
    prompt: Template,
    attach: Vec<Template>,
    base_dir: Arc<PathBuf>,
    output_schema: Option<Arc<Schema>>,
}

impl AgentChecker<'_> {
    pub fn draft(&self, name: &str, config: &AgentConfig, path: &Path<'_>) -> AgentDraft {
        check::name(name, "an agent", path, self.log);
        let needed: Vec<&str> = config.needs.iter().flatten().map(String::as_str).collect();
        let scope = Scope::Agent {
            vars: self.vars,
            needed: &needed,
            agents: self.names,
            structured: self.structured,
        };
        let defaults = self.defaults.with(&config.settings, path, self.endpoints, self.log);
        let prompt = match (&config.prompt, &self.defaults.prompt) {
            (Some(prompt), _) => scope.template(prompt, &path.key("prompt"), self.log),
            (None, Some(prompt)) => scope.template(prompt, &DEFAULTS.key("prompt"), self.log),
            // Parses always.
            (None, None) => Template::parse(INPUT).unwrap_or_default(),
        };
        let attach_path = path.key("attach");
        let attach = config.attach.iter().flatten().enumerate();
        let attach =
            attach.map(|(at, file)| scope.template(file, &attach_path.index(at), self.log));
        AgentDraft {
            name: name.to_owned(),
            has_own_model: config.settings.model.is_some(),
            defaults,
            system: self.system(config, &scope, path),
            prompt,
            attach: attach.collect(),
            base_dir: check::base_dir(&attach_path, self.log),
            output_schema: self.structured.get(name).cloned().flatten(),
        }
    }

    /// The system message as written, or the parts that it is made of, each with its heading.
    fn system(&self, config: &AgentConfig, scope: &Scope<'_>, path: &Path<'_>) -> Vec<Template> {
        let parts = [
            ("role", "Role: ", &config.role),
            ("goal", "Goal: ", &config.goal),
            ("backstory", "Backstory: ", &config.backstory),
            ("instructions", "Instructions:\n", &config.instructions),
        ];
        if let Some(system) = &config.system {
            for (key, ..) in parts.iter().filter(|(.., text)| text.is_some()) {
                let message = format!("{key} is not allowed beside system");
                let hint = "system is the whole message: remove one of the two".to_owned();
                self.log.key(&path.key(key), message, Some(hint));
            }
            let template = scope.template(system, &path.key("system"), self.log);
            return if system.trim().is_empty() { Vec::new() } else { vec![template] };
        }
        let mut system = Vec::new();
        for (key, heading, text) in parts {
            let (text, path) = match (text, &self.defaults.instructions) {
                (Some(text), _) => (text, path.key(key)),
                (None, Some(text)) if key == "instructions" => (text, DEFAULTS.key(key)),
                _ => continue,
            };
            scope.template(text, &path, self.log);
            if !text.trim().is_empty() {
                // A template that does not parse has been logged above.
                let part = format!("{heading}{}", text.trim_end());
                system.push(Template::parse(part).unwrap_or_default());
            }
        }
        system
    }
}

impl AgentDraft {
    /// The models, at least one. Logs if the agent has none.
    pub fn models(&self, log: &FaultLog) -> Vec<ModelName> {
        match &self.defaults.model {
            Model::Given(models) => models.clone(),
            Model::Faulty => vec![ModelName::Offline],
            Model::Missing => {
                let agents = Path::Root.key("agents");
                let hint = "set model: here or under defaults:, such as openai/gpt-4o-mini; \
                            --offline needs no model";
                let message = format!("agent {:?} has no model", self.name);
                log.key(&agents.key(&self.name), message, Some(hint.to_owned()));
                vec![ModelName::Offline]
            }
        }
    }

    pub fn into_plan(
        self,
        needs: Vec<usize>,
        model: ModelPlan,
        fallbacks: Vec<ModelPlan>,
        tools: Vec<Arc<ToolPlan>>,
        grants: Vec<McpGrant>,
    ) -> AgentPlan {
        AgentPlan {
            name: self.name,
            needs,
            model,
            fallbacks,
            system: self.system,
            prompt: self.prompt,
            attach: self.attach,
            base_dir: self.base_dir,
            attached: Vec::new(),
            tools,
            grants,
            output_schema: self.output_schema,
            settings: self.defaults.settings,
        }
    }
}
