//! Puts the plan together from the checked parts of a file.
//!
//! Every part is checked, whatever the faults of the others. A harmless value replaces what cannot
//! be used: a plan with faults is never returned.

use std::collections::{HashMap, HashSet};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::agent_plan::{AgentPlan, Need, Work};
use super::agents::{AgentChecker, AgentDraft, DEFAULTS, Defaults};
use super::budget::BudgetPlan;
use super::check::{self, Origin};
use super::crew_plan::{CrewPlan, Limits};
use super::endpoint::{Endpoints, ModelName};
use super::mcp::McpChecker;
use super::models::{ModelOrigin, UsedProviders};
use super::needs::NeedsChecker;
use super::on_failure::OnFailure;
use super::output_schema::OutputSchemas;
use super::overrides::Overrides;
use super::prices::Prices;
use super::provider::ProviderPlan;
use super::step::StepChecker;
use super::tool_index::ToolIndex;
use super::tool_plan::ToolPlan;
use super::tools::ToolChecker;
use crate::config::expand::Env;
use crate::config::faults::FaultLog;
use crate::config::file::{AgentConfig, CrewFile, LimitsConfig, ToolConfig};
use crate::config::forms::Entries;
use crate::config::place::Path;
use crate::template::Vars;
use crate::text::quoted;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
const DEFAULT_GRACE: Duration = Duration::from_secs(2);

/// A decoded file with the options and the environment that complete it.
pub struct Builder<'a> {
    pub crew: &'a CrewFile,
    /// The variables that hold API keys.
    pub keys: &'a HashSet<String>,
    pub overrides: &'a Overrides,
    pub env: Env<'a>,
    pub log: &'a FaultLog,
}

impl Builder<'_> {
    pub fn plan(&self, file: &FilePath) -> CrewPlan {
        let (crew, log) = (self.crew, self.log);
        self.check_version();
        let vars = Arc::new(Vars::new(Value::Object(self.vars())));
        let endpoints = Endpoints::check(crew.providers.as_ref(), log);
        let offline = self.overrides.offline;
        let checker = ToolChecker { vars: &vars, keys: self.keys, offline, log };
        let tools = self.tools(&checker);
        let names = tools.keys().copied().collect();
        let mcp_servers =
            McpChecker { tools: &names, offline, log }.servers(crew.mcp_servers.as_ref());
        let tools = ToolIndex { tools, servers: &mcp_servers, log };
        let needs_checker = NeedsChecker { agents: self.agents(), log };
        let needs = needs_checker.needs();
        let schemas = self.schemas(&OutputSchemas::default());
        let facts = self.facts(&schemas);
        let defaults = self.defaults(&endpoints);
        let agent_checker = AgentChecker {
            vars: &vars,
            defaults: &defaults,
            endpoints: &endpoints,
            agents: &facts,
            steps: StepChecker { tools: &checker },
            schemas: &schemas,
            log,
        };
        let drafts = self.drafts(&agent_checker, &tools);
        let selected = needs_checker.selected(self.overrides, &needs);
        let (mut agents, providers) = self.assemble(drafts, &needs, &selected, &tools, &endpoints);
        self.attach(&mut agents);
        let (output, fail_if) = self.result(&agents, &vars, &facts);
        let secrets = self.secrets(&agents);
        let budget = self.budget();
        let prices = Prices::check(crew.prices.as_ref(), log);
        prices.check_cover(&agents, budget, log);
        let stem = || file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        CrewPlan {
            name: crew.name.clone().or_else(stem).unwrap_or_default(),
            description: crew.description.clone(),
            file: file.to_owned(),
            included: log.sources.files().skip(1).map(FilePath::to_owned).collect(),
            vars,
            limits: self.limits(),
            budget,
            prices,
            agents,
            providers,
            output,
            unselected_output: crew.output.clone().filter(|_| output.is_none()),
            fail_if,
            mcp_servers,
            secrets,
        }
    }

    /// Attaches the files of the command line to the agents that use the input.
    fn attach(&self, agents: &mut [AgentPlan]) {
        let attached = &self.overrides.attached;
        if !attached.is_empty() && !agents.iter().any(AgentPlan::uses_input) {
            self.log.unplaced("--attach: no agent that runs uses the input".to_owned(), None);
        }
        for agent in agents.iter_mut().filter(|agent| agent.uses_input()) {
            if let Work::Model(work) = &mut agent.work {
                work.attached.clone_from(attached);
            }
        }
    }

    fn check_version(&self) {
        if let Some(version) = self.crew.version.filter(|version| *version != 1) {
            let message = format!("this version of crew reads files of version 1, not {version}");
            let hint = Some("write version: 1".to_owned());
            self.log.value(&Path::Root.key("version"), message, hint);
        }
    }

    /// The budget of the whole run.
    fn budget(&self) -> BudgetPlan {
        let path = Path::Root.key("limits");
        let limits = self.crew.limits.as_ref();
        let budget =
            limits.map(|limits| BudgetPlan::default().with(&limits.budget, &path, self.log));
        budget.unwrap_or_default()
    }

    fn vars(&self) -> Map<String, Value> {
        let file = Entries::of(self.crew.vars.as_ref());
        let mut vars: Map<String, Value> = file.iter().cloned().collect();
        for (name, value) in &self.overrides.vars {
            match vars.get_mut(name) {
                Some(known) => *known = Value::String(value.clone()),
                None => {
                    let names = file.iter().map(|(name, _)| name.as_str());
                    let hint = self
                        .log
                        .nearest(name, names)
                        .unwrap_or_else(|| "define it in the file, under vars:".to_owned());
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

    /// The tools by name. `None` for a tool with faults.
    fn tools(&self, checker: &ToolChecker<'_>) -> HashMap<&str, Option<Arc<ToolPlan>>> {
        let root = Path::Root.key("tools");
        let tool = |(name, config): &'_ (String, ToolConfig)| {
            checker.tool(name, config, &root.key(name)).map(Arc::new)
        };
        Entries::of(self.crew.tools.as_ref())
            .iter()
            .map(|entry| (entry.0.as_str(), tool(entry)))
            .collect()
    }

    /// All agents of the file.
    fn drafts(&self, checker: &AgentChecker<'_>, tools: &ToolIndex<'_>) -> Vec<AgentDraft> {
        let (log, root) = (self.log, Path::Root.key("agents"));
        let agents = self.agents();
        if agents.is_empty() && !log.is_broken(&Path::Root) {
            let hint = "write at least one: agents: {helper: {model: offline}}".to_owned();
            log.key(&root, "the file has no agents", Some(hint));
        }
        let draft = |(name, config): &(String, AgentConfig)| {
            let path = root.key(name);
            let (listed, list) = self.tools_of(config, &path);
            tools.check(listed, &list.key("tools"));
            checker.draft(name, config, &path)
        };
        agents.iter().map(draft).collect()
    }

    fn defaults(&self, endpoints: &Endpoints) -> Defaults {
        let Some(given) = &self.crew.defaults else { return Defaults::default() };
        Defaults::default()
            .with(&given.settings, &DEFAULTS, endpoints, self.log)
            .with_texts(given.prompt.clone(), given.instructions.clone())
    }

    /// The plans of the selected agents and of the providers they use.
    fn assemble(
        &self,
        drafts: Vec<AgentDraft>,
        needs: &[Vec<Need>],
        selected: &[usize],
        tools: &ToolIndex<'_>,
        endpoints: &Endpoints,
    ) -> (Vec<AgentPlan>, Vec<ProviderPlan>) {
        let new_indices: HashMap<usize, usize> =
            selected.iter().enumerate().map(|(new, &old)| (old, new)).collect();
        let without_keys = |name: &str| {
            let is_needless = self.overrides.replay && self.keys.contains(name);
            (self.env)(name).or_else(|| is_needless.then(|| format!("({name} is not set)")))
        };
        let mut providers = UsedProviders::new(endpoints, &without_keys, self.log);
        let mut agents = Vec::new();
        let override_model = self.override_model(endpoints);
        let described = drafts.into_iter().zip(self.agents()).zip(needs);
        for (at, ((draft, (name, config)), needs)) in described.enumerate() {
            if !new_indices.contains_key(&at) {
                continue;
            }
            let origin = if self.overrides.model.is_some() {
                ModelOrigin::Option
            } else if draft.has_own_model {
                ModelOrigin::Agent(name)
            } else {
                ModelOrigin::Defaults
            };
            let models = match &override_model {
                _ if draft.is_step() => Vec::new(),
                Some(model) => vec![model.clone()],
                None => draft.models(self.log),
            };
            let models = models.into_iter().map(|model| providers.model(model, &origin)).collect();
            let (listed, _) = self.tools_of(config, &Path::Root);
            let (tools, grants) = tools.of(listed);
            let needs = needs.iter();
            let needs = needs
                .filter_map(|need| Some(Need { agent: *new_indices.get(&need.agent)?, ..*need }))
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
        (agents, providers.into_plans())
    }

    /// The agent's `tools`, or else those of `defaults`, and the path that they are below.
    fn tools_of<'a, 'p>(
        &'a self,
        config: &'a AgentConfig,
        path: &Path<'p>,
    ) -> (&'a [String], Path<'p>) {
        let defaults = self.crew.defaults.as_ref();
        match (&config.tools, defaults.and_then(|defaults| defaults.tools.as_ref())) {
            (Some(own), _) => (own, *path),
            (None, Some(tools)) => (tools, DEFAULTS),
            (None, None) => (&[], *path),
        }
    }

    /// The model that the command line chooses for every agent.
    fn override_model(&self, endpoints: &Endpoints) -> Option<ModelName> {
        if self.overrides.offline {
            return Some(ModelName::Offline);
        }
        let text = self.overrides.model.as_deref()?;
        let model = endpoints.model(text, &Origin::Option("--model"), self.log);
        Some(model.unwrap_or(ModelName::Offline))
    }

    pub(super) fn agents(&self) -> &[(String, AgentConfig)] {
        Entries::of(self.crew.agents.as_ref())
    }
}
