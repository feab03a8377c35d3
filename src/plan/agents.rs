//! Checks agents: their models, messages and settings.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::agent_keys;
use super::agent_plan::{AgentPlan, ModelPlan, ModelWork, Need, Work};
use super::check::{self, Origin};
use super::endpoint::{Endpoints, ModelName};
use super::facts::Agents;
use super::flow::{self, ForEachPlan};
use super::mcp::McpGrant;
use super::scope::{INSTANCE, Scope};
use super::settings::AgentSettings;
use super::step::{self, StepChecker};
use super::step_plan::{CheckPlan, StepPlan};
use super::tool_plan::ToolPlan;
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, ModelTexts, SettingsConfig};
use crate::config::flow::NeedsConfig;
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::{Expression, INPUT, Template, Vars};
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
    /// All agents of the file.
    pub agents: &'a Agents<'a>,
    pub steps: StepChecker<'a>,
    /// The schemas of structured answers; `None` for a schema with faults.
    pub schemas: &'a HashMap<&'a str, Option<Arc<Schema>>>,
    pub log: &'a FaultLog,
}

/// A checked agent, without its models, tools and needs.
#[derive(Debug)]
pub struct AgentDraft {
    name: String,
    /// Whether the agent itself chooses its model.
    pub has_own_model: bool,
    defaults: Defaults,
    work: DraftWork,
    when: Option<Expression>,
    for_each: Option<ForEachPlan>,
    output_schema: Option<Arc<Schema>>,
}

#[derive(Debug)]
enum DraftWork {
    Model {
        system: Vec<Template>,
        prompt: Template,
        attach: Vec<Template>,
        base_dir: Arc<PathBuf>,
        check: Option<CheckPlan>,
    },
    /// `None`: its fault has been logged.
    Step(Option<StepPlan>),
}

impl AgentChecker<'_> {
    pub fn draft(&self, name: &str, config: &AgentConfig, path: &Path<'_>) -> AgentDraft {
        check::name(name, "an agent", path, self.log);
        let needed: Vec<&str> = config.needs.iter().flat_map(NeedsConfig::names).collect();
        let (vars, agents, own) = (self.vars, self.agents, Some(name));
        let scope = |more| Scope::Agent { vars, own, needed: &needed, agents, more };
        let [item, index] = INSTANCE;
        let (own, with_output): (&[&str], &[&str]) = match config.for_each {
            Some(_) => (&[item, index], &[item, index, "output"]),
            None => (&[], &["output"]),
        };
        let (plain, own, with_output) = (scope(&[]), scope(own), scope(with_output));
        let work = if step::is_step(config) {
            DraftWork::Step(self.steps.step(name, config, &own, path))
        } else {
            agent_keys::check_model(config, path, self.log);
            let check = config.check.as_ref();
            DraftWork::Model {
                system: self.system(config, &own, path),
                prompt: self.prompt(config, &own, path),
                attach: self.attach(config, &own, &path.key("attach")),
                base_dir: check::base_dir(&path.key("attach"), self.log),
                check: check
                    .and_then(|check| self.steps.check(check, &with_output, &path.key("check"))),
            }
        };
        AgentDraft {
            name: name.to_owned(),
            has_own_model: config.settings.model.is_some(),
            defaults: self.defaults.with(&config.settings, path, self.endpoints, self.log),
            work,
            when: flow::condition(config.when.as_ref(), &own, &path.key("when"), self.log),
            for_each: flow::for_each(config, &plain, &own, path, self.log),
            output_schema: self.schemas.get(name).cloned().flatten(),
        }
    }

    fn attach(&self, config: &AgentConfig, scope: &Scope<'_>, path: &Path<'_>) -> Vec<Template> {
        let files = config.attach.iter().flatten().enumerate();
        files.map(|(at, file)| scope.template(file, &path.index(at), self.log)).collect()
    }

    fn prompt(&self, config: &AgentConfig, scope: &Scope<'_>, path: &Path<'_>) -> Template {
        match (&config.prompt, &self.defaults.prompt) {
            (Some(prompt), _) => scope.template(prompt, &path.key("prompt"), self.log),
            (None, Some(prompt)) => scope.template(prompt, &DEFAULTS.key("prompt"), self.log),
            // Parses always.
            (None, None) => Template::parse(INPUT).unwrap_or_default(),
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

    /// Whether it has no model because it is a step.
    pub fn is_step(&self) -> bool {
        matches!(self.work, DraftWork::Step(_))
    }

    /// The plan of an agent with these models, the first of which is asked first. `None` for a step
    /// with a fault.
    pub fn into_plan(
        self,
        needs: Vec<Need>,
        models: Vec<ModelPlan>,
        tools: Vec<Arc<ToolPlan>>,
        grants: Vec<McpGrant>,
    ) -> Option<AgentPlan> {
        let mut models = models.into_iter();
        let work = match self.work {
            DraftWork::Model { system, prompt, attach, base_dir, check } => {
                Work::Model(Box::new(ModelWork {
                    model: models.next().unwrap_or(ModelPlan::Offline),
                    fallbacks: models.collect(),
                    system,
                    prompt,
                    attach,
                    base_dir,
                    attached: Vec::new(),
                    tools,
                    grants,
                    check,
                }))
            }
            DraftWork::Step(step) => Work::Step(Box::new(step?)),
        };
        Some(AgentPlan {
            name: self.name,
            needs,
            needed_when_done: false,
            when: self.when,
            for_each: self.for_each,
            work,
            output_schema: self.output_schema,
            settings: self.defaults.settings,
        })
    }
}
