//! Puts the plan together from the checked parts of a file.
//!
//! Every part is looked at, whatever was wrong with the one before, with something harmless in
//! place of what cannot be used: a plan with faults is never handed out.

use std::collections::{HashMap, HashSet};
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::agents::{self, Defaults, Draft};
use super::check::{self, Origin};
use super::endpoint::{Endpoints, ModelName};
use super::known::Known;
use super::output_schema::OutputSchemas;
use super::step::StepChecker;
use super::tools::Surroundings;
use super::{
    AgentPlan, BudgetPlan, CrewPlan, Limits, ModelPlan, Need, OnFailure, Overrides, Prices,
    ProviderPlan, ToolPlan, mcp,
};
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, CrewFile, Entries, LimitsConfig, ToolConfig};
use crate::config::place::Path;
use crate::structured::Schema;
use crate::template::Vars;
use crate::text::quoted;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
const DEFAULT_GRACE: Duration = Duration::from_secs(2);

/// What a file, the command line and the environment together say.
pub struct Builder<'a> {
    pub crew: &'a CrewFile,
    /// Variables that hold API keys.
    pub keys: &'a HashSet<String>,
    pub overrides: &'a Overrides,
    pub env: Env<'a>,
    pub log: &'a FaultLog,
}

impl Builder<'_> {
    pub fn plan(&self, file: &FilePath) -> CrewPlan {
        let (crew, log) = (self.crew, self.log);
        self.version();
        let vars = Arc::new(Vars::new(Value::Object(self.vars())));
        let endpoints = Endpoints::check(crew.providers.as_ref(), log);
        let base_dir = base_dir(file);
        let checker = Surroundings {
            vars: &vars,
            base_dir: &base_dir,
            secrets: self.keys,
            offline: self.overrides.offline,
            log,
        };
        let tools = self.tools(&checker);
        let names = tools.keys().copied().collect();
        let around = mcp::Surroundings {
            base_dir: &base_dir,
            tools: &names,
            offline: self.overrides.offline,
            log,
        };
        let mcp_servers = around.servers(crew.mcp_servers.as_ref());
        let known = Known { tools, servers: &mcp_servers, log };
        let defaults = self.defaults(&endpoints);
        let folder = file.parent().unwrap_or(FilePath::new(""));
        let names = self.agent_entries().iter().map(|(name, _)| name.as_str());
        let index: HashMap<&str, usize> = names.zip(0..).collect();
        let needs = self.needs(&index);
        let schemas = self.schemas(&OutputSchemas::new(folder));
        let facts = self.facts(&schemas);
        let around = agents::Surroundings {
            vars: &vars,
            defaults: &defaults,
            endpoints: &endpoints,
            agents: &facts,
            steps: StepChecker { tools: &checker },
            schemas: &schemas,
            log,
        };
        let drafts = self.drafts(&around, &known);
        let selected = self.selected(&needs);
        let (agents, providers) = self.assemble(drafts, &needs, &selected, &known, &endpoints);
        let (output, fail_if) = self.result(&agents, &vars, &facts);
        let secrets = self.secrets(&agents);
        let budget = self.budget();
        let prices = Prices::check(crew.prices.as_ref(), log);
        prices.cover(&agents, budget, log);
        let stem = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        CrewPlan {
            name: crew.name.clone().or_else(stem).unwrap_or_default(),
            description: crew.description.clone(),
            file: file.to_owned(),
            vars,
            limits: self.limits(),
            budget,
            prices,
            agents,
            providers,
            output,
            fail_if,
            mcp_servers,
            secrets,
        }
    }

    /// Of the whole run.
    fn budget(&self) -> BudgetPlan {
        let path = Path::Root.key("limits");
        let given = self.crew.limits.as_ref();
        let budget = given.map(|given| BudgetPlan::default().with(&given.budget, &path, self.log));
        budget.unwrap_or_default()
    }

    fn version(&self) {
        if let Some(version) = self.crew.version.filter(|version| *version != 1) {
            let message = format!("this version of crew reads files of version 1, not {version}");
            let hint = Some("write version: 1".to_owned());
            self.log.value(&Path::Root.key("version"), message, hint);
        }
    }

    fn vars(&self) -> Map<String, Value> {
        let file = self.crew.vars.as_ref().map(|vars| vars.0.as_slice()).unwrap_or_default();
        let mut vars: Map<String, Value> = file.iter().cloned().collect();
        for (name, value) in &self.overrides.vars {
            match vars.get_mut(name) {
                Some(known) => *known = Value::String(value.clone()),
                None => {
                    let names = file.iter().map(|(name, _)| name.as_str());
                    let hint = self
                        .log
                        .nearest(name, names)
                        .unwrap_or_else(|| "the file's vars: says which there are".to_owned());
                    let message = format!("--var: there is no variable {}", quoted(name));
                    self.log.unplaced(message, Some(hint));
                }
            }
        }
        vars
    }

    fn limits(&self) -> Limits {
        let none = LimitsConfig::default();
        let limits = self.crew.limits.as_ref().unwrap_or(&none);
        let path = Path::Root.key("limits");
        let (log, given) = (self.log, self.overrides);
        let timeout = limits.timeout.as_ref();
        let timeout = timeout.and_then(|text| check::timeout(text, &path.key("timeout"), log));
        let grace = limits.grace.as_ref();
        let grace = grace.and_then(|text| check::duration(text, &path.key("grace"), log));
        let max_parallel = limits
            .max_parallel
            .and_then(|value| check::whole(&value, 1..=1_000_000, &path.key("max_parallel"), log));
        let on_failure = limits.on_failure.map_or(OnFailure::Cancel, OnFailure::from);
        Limits {
            timeout: given.timeout.or(timeout).unwrap_or(DEFAULT_TIMEOUT),
            grace: grace.unwrap_or(DEFAULT_GRACE),
            max_parallel: given.max_parallel.or(max_parallel),
            on_failure: given.on_failure.unwrap_or(on_failure),
        }
    }

    fn defaults(&self, endpoints: &Endpoints) -> Defaults {
        let path = Path::Root.key("defaults");
        match &self.crew.defaults {
            Some(defaults) => Defaults::default().with(defaults, &path, endpoints, self.log),
            None => Defaults::default(),
        }
    }

    /// By name; `None` for one that no plan can be made of.
    fn tools(&self, checker: &Surroundings<'_>) -> HashMap<&str, Option<Arc<ToolPlan>>> {
        let root = Path::Root.key("tools");
        let tool = |(name, config): &'_ (String, ToolConfig)| {
            checker.tool(name, config, &root.key(name)).map(Arc::new)
        };
        entries(self.crew.tools.as_ref())
            .iter()
            .map(|entry| (entry.0.as_str(), tool(entry)))
            .collect()
    }

    /// All agents of the file.
    fn drafts(&self, around: &agents::Surroundings<'_>, known: &Known<'_>) -> Vec<Draft> {
        let root = Path::Root.key("agents");
        let agents = self.agent_entries();
        if agents.is_empty() && !self.log.is_broken(&Path::Root) {
            let hint = "write at least one: agents: {helper: {model: offline}}".to_owned();
            self.log.key(&root, "the file has no agents", Some(hint));
        }
        let draft = |(name, config): &(String, AgentConfig)| {
            let path = root.key(name);
            known.check(config, &path);
            around.draft(name, config, &path)
        };
        agents.iter().map(draft).collect()
    }

    /// The schemas of structured answers; `None` for one that cannot be used.
    fn schemas(&self, schemas: &OutputSchemas<'_>) -> HashMap<&str, Option<Arc<Schema>>> {
        let root = Path::Root.key("agents");
        let schema = |(name, config): &'_ (String, AgentConfig)| {
            let path = root.key(name);
            let schema = config.output_schema.as_ref()?;
            Some(schemas.check(schema, &path.key("output_schema"), self.log))
        };
        let agents = self.agent_entries().iter();
        agents.filter_map(|entry| Some((entry.0.as_str(), schema(entry)?))).collect()
    }

    fn assemble(
        &self,
        drafts: Vec<Draft>,
        needs: &[Vec<Need>],
        selected: &[usize],
        known: &Known<'_>,
        endpoints: &Endpoints,
    ) -> (Vec<AgentPlan>, Vec<ProviderPlan>) {
        let moved: HashMap<usize, usize> =
            selected.iter().enumerate().map(|(new, &old)| (old, new)).collect();
        let mut used = Used { endpoints, env: self.env, log: self.log, found: Vec::new() };
        let mut agents = Vec::new();
        let given = self.given_model(endpoints);
        for (at, draft) in drafts.into_iter().enumerate() {
            if !moved.contains_key(&at) {
                continue;
            }
            let Some((_, config)) = self.agent_entries().get(at) else { continue };
            let models = match &given {
                _ if draft.is_step() => Vec::new(),
                Some(given) => vec![given.clone()],
                None => draft.models(self.log),
            };
            let said = self.origin(&draft);
            let models = models.into_iter().map(|model| used.model(model, &said)).collect();
            let (tools, grants) = known.of(config);
            let needs = needs.get(at).into_iter().flatten();
            let needs = needs
                .filter_map(|need| Some(Need { agent: *moved.get(&need.agent)?, ..*need }))
                .collect();
            agents.extend(draft.into_plan(needs, models, tools, grants));
        }
        let done = agents.iter().flat_map(|agent| &agent.needs).filter(|need| need.done);
        let done: Vec<usize> = done.map(|need| need.agent).collect();
        for agent in done {
            if let Some(agent) = agents.get_mut(agent) {
                agent.needed_when_done = true;
            }
        }
        (agents, used.found.into_iter().filter_map(|(_, provider)| provider).collect())
    }

    /// The model of the command line, which goes for every agent.
    fn given_model(&self, endpoints: &Endpoints) -> Option<ModelName> {
        if self.overrides.offline {
            return Some(ModelName::Offline);
        }
        let text = self.overrides.model.as_deref()?;
        let model = endpoints.model(text, &Origin::Option("--model"), self.log);
        Some(model.unwrap_or(ModelName::Offline))
    }

    /// Where an agent's model was said.
    fn origin(&self, draft: &Draft) -> Said {
        if self.overrides.model.is_some() {
            Said::Option
        } else if draft.own_model {
            Said::Agent(draft.name.clone())
        } else {
            Said::Defaults
        }
    }

    pub(super) fn agent_entries(&self) -> &[(String, AgentConfig)] {
        entries(self.crew.agents.as_ref())
    }
}

fn entries<T>(entries: Option<&Entries<T>>) -> &[(String, T)] {
    entries.map(|entries| entries.0.as_slice()).unwrap_or_default()
}

/// The folder of the file, where its relative paths start.
fn base_dir(file: &FilePath) -> Arc<PathBuf> {
    let folder = file.parent().unwrap_or(FilePath::new(""));
    // Absolute: a tool may have a working directory of its own. It fails only without one of crew's.
    Arc::new(std::path::absolute(folder.join(".")).unwrap_or_else(|_| folder.to_owned()))
}

enum Said {
    Option,
    Defaults,
    Agent(String),
}

/// The providers that the selected agents use, each looked at once.
struct Used<'a> {
    endpoints: &'a Endpoints,
    env: Env<'a>,
    log: &'a FaultLog,
    found: Vec<(String, Option<ProviderPlan>)>,
}

impl Used<'_> {
    fn model(&mut self, model: ModelName, said: &Said) -> ModelPlan {
        let ModelName::Remote { provider: name, model } = model else { return ModelPlan::Offline };
        let provider = match self.found.iter().position(|(found, _)| *found == name) {
            Some(provider) => provider,
            None => {
                let (agents, defaults) = (Path::Root.key("agents"), Path::Root.key("defaults"));
                let agent;
                let path = match said {
                    Said::Agent(name) => {
                        agent = agents.key(name);
                        agent.key("model")
                    }
                    _ => defaults.key("model"),
                };
                let origin = match said {
                    Said::Option => Origin::Option("--model"),
                    _ => Origin::File(&path),
                };
                let plan = self.endpoints.resolve(&name, &origin, self.env, self.log);
                self.found.push((name.clone(), plan));
                self.found.len() - 1
            }
        };
        ModelPlan::Remote { provider, label: format!("{name}/{model}"), model }
    }
}
