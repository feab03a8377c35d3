//! Agents: what they are told and within which limits they work.

use std::collections::HashMap;
use std::sync::Arc;

use super::check::{self, Origin};
use super::endpoint::{Endpoints, ModelName};
use super::facts::Agents;
use super::flow::{self, ForEachPlan};
use super::scope::Scope;
use super::settings::AgentSettings;
use super::step::{self, StepChecker};
use super::{AgentPlan, CheckPlan, McpGrant, ModelPlan, ModelWork, Need, StepPlan, ToolPlan, Work};
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, ModelTexts, SettingsConfig};
use crate::config::flow::NeedsConfig;
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::{Expression, INPUT, Template, Vars};
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
    /// All agents of the file.
    pub agents: &'a Agents<'a>,
    pub steps: StepChecker<'a>,
    pub schemas: &'a HashMap<&'a str, Option<Arc<Schema>>>,
    pub log: &'a FaultLog,
}

/// An agent that has been checked, but is not yet tied to those around it.
#[derive(Debug)]
pub struct Draft {
    pub name: String,
    /// It is the agent that names its model, not `defaults`.
    pub own_model: bool,
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
        check: Option<CheckPlan>,
    },
    /// `None`: a fault has been noted.
    Step(Option<StepPlan>),
}

impl Surroundings<'_> {
    pub fn draft(&self, name: &str, config: &AgentConfig, path: &Path<'_>) -> Draft {
        check::name(name, "an agent", path, self.log);
        let needed: Vec<&str> = config.needs.iter().flat_map(NeedsConfig::names).collect();
        let scope =
            |more| Scope::Agent { vars: self.vars, needed: &needed, agents: self.agents, more };
        let [item, index] = flow::INSTANCE;
        let (own, with_output): (&[&str], &[&str]) = match config.for_each {
            Some(_) => (&[item, index], &[item, index, "output"]),
            None => (&[], &["output"]),
        };
        let (plain, own, with_output) = (scope(&[]), scope(own), scope(with_output));
        let defaults = self.defaults.with(&config.settings, path, self.endpoints, self.log);
        let work = if step::is_step(config) {
            DraftWork::Step(self.steps.step(name, config, &own, path))
        } else {
            step::only_keys_of_models(config, path, self.log);
            let check = config.check.as_ref();
            DraftWork::Model {
                system: self.system(config, &own, path),
                prompt: match &config.prompt {
                    Some(prompt) => own.template(prompt, &path.key("prompt"), self.log),
                    // Known to be sound.
                    None => Template::parse(INPUT).unwrap_or_default(),
                },
                check: check
                    .and_then(|check| self.steps.check(check, &with_output, &path.key("check"))),
            }
        };
        Draft {
            name: name.to_owned(),
            own_model: config.settings.model.is_some(),
            defaults,
            work,
            when: flow::condition(config.when.as_ref(), &own, &path.key("when"), self.log),
            for_each: flow::for_each(config, &plain, &own, path, self.log),
            output_schema: self.schemas.get(name).cloned().flatten(),
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
    /// Whether it has no model because it is a step.
    pub fn is_step(&self) -> bool {
        matches!(self.work, DraftWork::Step(_))
    }

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

    /// The plan of an agent with these models, the first of which is asked first; `None` for a step
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
            DraftWork::Model { system, prompt, check } => Work::Model(Box::new(ModelWork {
                model: models.next().unwrap_or(ModelPlan::Offline),
                fallbacks: models.collect(),
                system,
                prompt,
                tools,
                grants,
                check,
            })),
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
