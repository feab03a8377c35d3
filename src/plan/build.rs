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
use super::tools::Surroundings;
use super::{
    AgentPlan, BudgetPlan, CrewPlan, Limits, ModelPlan, OnFailure, Overrides, Prices, ProviderPlan,
    ToolPlan, graph, mcp,
};
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::{
    AgentConfig, CrewFile, Entries, LimitsConfig, OnFailureConfig, ToolConfig,
};
use crate::config::place::Path;
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
        if let Some(version) = crew.version.filter(|version| *version != 1) {
            let message = format!("this version of crew reads files of version 1, not {version}");
            log.value(&Path::Root.key("version"), message, Some("write version: 1".to_owned()));
        }
        let vars = Arc::new(Vars::new(Value::Object(self.vars())));
        let endpoints = Endpoints::check(crew.providers.as_ref(), log);
        let base_dir = base_dir(file);
        let tools = self.tools(&vars, &base_dir);
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
        let schemas = OutputSchemas::new(folder);
        let (drafts, needs) = self.agents(&vars, &defaults, &endpoints, &known, &schemas);
        let selected = self.selected(&needs);
        let (mut agents, providers) =
            self.assemble(drafts, &needs, &selected, &known, &endpoints, &base_dir);
        if !self.overrides.attached.is_empty() && !agents.iter().any(AgentPlan::uses_input) {
            log.unplaced("--attach: no agent that runs uses the input".to_owned(), None);
        }
        for agent in agents.iter_mut().filter(|agent| agent.uses_input()) {
            agent.attached.clone_from(&self.overrides.attached);
        }
        let budget = match &crew.limits {
            Some(given) => {
                let path = Path::Root.key("limits");
                BudgetPlan::default().with(&given.budget, &path, log)
            }
            None => BudgetPlan::default(),
        };
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
            mcp_servers,
            secrets: crew.secrets.clone(),
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
        let on_failure = match limits.on_failure {
            Some(OnFailureConfig::Continue) => OnFailure::Continue,
            Some(OnFailureConfig::Cancel) | None => OnFailure::Cancel,
        };
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
    fn tools(&self, vars: &Vars, base_dir: &Arc<PathBuf>) -> HashMap<&str, Option<Arc<ToolPlan>>> {
        let offline = self.overrides.offline;
        let around = Surroundings { vars, base_dir, secrets: self.keys, offline, log: self.log };
        let root = Path::Root.key("tools");
        let tool = |(name, config): &'_ (String, ToolConfig)| {
            around.tool(name, config, &root.key(name)).map(Arc::new)
        };
        entries(self.crew.tools.as_ref())
            .iter()
            .map(|entry| (entry.0.as_str(), tool(entry)))
            .collect()
    }

    /// All agents of the file, and whom each needs.
    fn agents(
        &self,
        vars: &Vars,
        defaults: &Defaults,
        endpoints: &Endpoints,
        known: &Known<'_>,
        schemas: &OutputSchemas<'_>,
    ) -> (Vec<Draft>, Vec<Vec<usize>>) {
        let (log, root) = (self.log, Path::Root.key("agents"));
        let agents = self.agent_entries();
        if agents.is_empty() && !log.is_broken(&Path::Root) {
            let hint = "write at least one: agents: {helper: {model: offline}}".to_owned();
            log.key(&root, "the file has no agents", Some(hint));
        }
        let index: HashMap<&str, usize> =
            agents.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
        let names: HashSet<&str> = index.keys().copied().collect();
        let structured = agents.iter().filter_map(|(name, config)| {
            let path = root.key(name);
            let schema = config.output_schema.as_ref()?;
            Some((name.as_str(), schemas.check(schema, &path.key("output_schema"), log)))
        });
        let structured = &structured.collect();
        let around =
            agents::Surroundings { vars, defaults, endpoints, names: &names, structured, log };
        let needs: Vec<Vec<usize>> = agents
            .iter()
            .map(|(name, config)| self.needs(name, config, &root.key(name), &index))
            .collect();
        self.cycles(&needs);
        let drafts = agents
            .iter()
            .map(|(name, config)| {
                let path = root.key(name);
                known.check(config, &path);
                around.draft(name, config, &path)
            })
            .collect();
        (drafts, needs)
    }

    fn needs(
        &self,
        name: &str,
        config: &AgentConfig,
        path: &Path<'_>,
        index: &HashMap<&str, usize>,
    ) -> Vec<usize> {
        let path = path.key("needs");
        let mut needs = Vec::new();
        let mut seen = HashSet::new();
        for (at, need) in config.needs.iter().flatten().enumerate() {
            let path = path.index(at);
            if need == name {
                let message = format!("agent {name:?} needs itself");
                self.log.value(&path, message, Some("remove it".to_owned()));
            } else if let Some(&found) = index.get(need.as_str()) {
                if seen.insert(found) {
                    needs.push(found);
                } else {
                    self.log.value(&path, format!("{need} is listed twice"), None);
                }
            } else {
                let names = self.agent_entries().iter().map(|(name, _)| name.as_str());
                let message = format!("there is no agent {}", quoted(need));
                self.log.value(&path, message, self.log.nearest(need, names));
            }
        }
        needs
    }

    fn cycles(&self, needs: &[Vec<usize>]) {
        let agents = self.agent_entries();
        let name =
            |agent: usize| agents.get(agent).map(|(name, _)| name.as_str()).unwrap_or_default();
        for cycle in graph::cycles(needs) {
            let (Some(&first), next) = (cycle.first(), cycle.get(1)) else { continue };
            let names = graph::describe(&cycle, |agent| name(agent).to_owned());
            let message = format!("these agents wait for each other: {names}");
            let hint = Some("take one of them out of the other's needs".to_owned());
            let listed = agents.get(first).and_then(|(_, config)| config.needs.as_ref());
            let next = next.map(|&next| name(next));
            let at = listed
                .and_then(|listed| listed.iter().position(|need| Some(need.as_str()) == next));
            let (root, list) = (Path::Root.key("agents"), name(first));
            let list = root.key(list);
            let list = list.key("needs");
            self.log.value(&list.index(at.unwrap_or(0)), message, hint);
        }
    }

    /// The agents that run, in the order of the file.
    fn selected(&self, needs: &[Vec<usize>]) -> Vec<usize> {
        let agents = self.agent_entries();
        if self.overrides.agents.is_empty() {
            return (0..agents.len()).collect();
        }
        let mut wanted = Vec::new();
        for name in &self.overrides.agents {
            match agents.iter().position(|(agent, _)| agent == name) {
                Some(found) => wanted.push(found),
                None => {
                    let names = agents.iter().map(|(name, _)| name.as_str());
                    let message = format!("--agents: there is no agent {}", quoted(name));
                    self.log.unplaced(message, self.log.nearest(name, names));
                }
            }
        }
        graph::closure(needs, &wanted)
    }

    fn assemble(
        &self,
        drafts: Vec<Draft>,
        needs: &[Vec<usize>],
        selected: &[usize],
        known: &Known<'_>,
        endpoints: &Endpoints,
        base_dir: &Arc<PathBuf>,
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
                Some(given) => vec![given.clone()],
                None => draft.models(self.log),
            };
            let said = self.origin(&draft);
            let mut models = models.into_iter().map(|model| used.model(model, &said));
            let model = models.next().unwrap_or(ModelPlan::Offline);
            let fallbacks = models.collect();
            let (tools, grants) = known.of(config);
            let needs = needs.get(at).into_iter().flatten();
            let needs = needs.filter_map(|need| moved.get(need).copied()).collect();
            agents.push(draft.into_plan(needs, model, fallbacks, tools, grants, base_dir.clone()));
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

    fn agent_entries(&self) -> &[(String, AgentConfig)] {
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
