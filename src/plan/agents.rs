//! Agents: what they are told and within which limits they work.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::check::{self, Origin};
use super::endpoint::{Endpoints, ModelName};
use super::scope::{Scope, Structured};
use super::settings::AgentSettings;
use super::{AgentPlan, McpGrant, ModelPlan, ToolPlan};
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, ModelTexts, SettingsConfig};
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::{INPUT, Template, Vars};
use crate::text::quoted;

/// What an agent may say itself, with `defaults` and the built-in defaults filled in.
#[derive(Debug, Clone, Default)]
pub struct Defaults {
    model: Model,
    settings: AgentSettings,
}

#[derive(Debug, Clone, Default)]
enum Model {
    #[default]
    NotSaid,
    /// Of no use, and noted as such.
    Faulty,
    /// At least one; each stands in for the one before.
    Said(Vec<ModelName>),
}

impl Defaults {
    /// These, with what is given in their place.
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
        Self { model, settings: self.settings.with(given, path, log) }
    }
}

fn models(texts: &ModelTexts, path: &Path<'_>, endpoints: &Endpoints, log: &FaultLog) -> Model {
    if texts.texts.is_empty() {
        log.value(path, "the list names no model", None);
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
    found.into_iter().collect::<Option<_>>().map_or(Model::Faulty, Model::Said)
}

/// What all agents are checked against.
pub struct Surroundings<'a> {
    pub vars: &'a Vars,
    pub defaults: &'a Defaults,
    pub endpoints: &'a Endpoints,
    /// Of all agents of the file.
    pub names: &'a HashSet<&'a str>,
    pub structured: &'a Structured<'a>,
    pub log: &'a FaultLog,
}

/// An agent that has been checked, but is not yet tied to those around it.
#[derive(Debug)]
pub struct Draft {
    pub name: String,
    /// It is the agent that names its model, not `defaults`.
    pub own_model: bool,
    defaults: Defaults,
    system: Vec<Template>,
    prompt: Template,
    attach: Vec<Template>,
    output_schema: Option<Arc<Schema>>,
}

impl Surroundings<'_> {
    pub fn draft(&self, name: &str, config: &AgentConfig, path: &Path<'_>) -> Draft {
        check::name(name, "an agent", path, self.log);
        let needed: Vec<&str> = config.needs.iter().flatten().map(String::as_str).collect();
        let scope = Scope::Agent {
            vars: self.vars,
            needed: &needed,
            agents: self.names,
            structured: self.structured,
        };
        let defaults = self.defaults.with(&config.settings, path, self.endpoints, self.log);
        let prompt = match &config.prompt {
            Some(prompt) => scope.template(prompt, &path.key("prompt"), self.log),
            // Known to be sound.
            None => Template::parse(INPUT).unwrap_or_default(),
        };
        let attach_path = path.key("attach");
        let attach = config.attach.iter().flatten().enumerate();
        let attach = attach
            .map(|(at, template)| scope.template(template, &attach_path.index(at), self.log))
            .collect();
        Draft {
            name: name.to_owned(),
            own_model: config.settings.model.is_some(),
            defaults,
            system: self.system(config, &scope, path),
            prompt,
            attach,
            output_schema: self.structured.get(name).cloned().flatten(),
        }
    }

    /// The parts of the system message, each under its heading.
    fn system(&self, config: &AgentConfig, scope: &Scope<'_>, path: &Path<'_>) -> Vec<Template> {
        let parts = [
            ("role", "Role: ", &config.role),
            ("goal", "Goal: ", &config.goal),
            ("backstory", "Backstory: ", &config.backstory),
            ("instructions", "Instructions:\n", &config.instructions),
        ];
        let mut system = Vec::new();
        for (key, heading, text) in parts {
            let Some(text) = text else { continue };
            scope.template(text, &path.key(key), self.log);
            if !text.trim().is_empty() {
                // What does not parse has been noted above.
                let part = format!("{heading}{}", text.trim_end());
                system.push(Template::parse(part).unwrap_or_default());
            }
        }
        system
    }
}

impl Draft {
    /// Its models, at least one; that there is none is noted.
    pub fn models(&self, log: &FaultLog) -> Vec<ModelName> {
        match &self.defaults.model {
            Model::Said(models) => models.clone(),
            Model::Faulty => vec![ModelName::Offline],
            Model::NotSaid => {
                let agents = Path::Root.key("agents");
                let hint = "give it one, or all of them: defaults: {model: openai/gpt-4o-mini}; \
                            --offline needs none";
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
        base_dir: Arc<PathBuf>,
    ) -> AgentPlan {
        AgentPlan {
            name: self.name,
            needs,
            model,
            fallbacks,
            system: self.system,
            prompt: self.prompt,
            attach: self.attach,
            attached: Vec::new(),
            base_dir,
            tools,
            grants,
            output_schema: self.output_schema,
            settings: self.defaults.settings,
        }
    }
}
