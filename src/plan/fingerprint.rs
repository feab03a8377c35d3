//! Hashes, by name, of the parts of a crew that decide what it does with an input. Results of crews
//! with different hashes are not mixed.
//!
//! A fingerprint is made of the plan, not of the file's text, so comments, limits, secrets and the
//! way of writing do not matter. It is the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::agent_plan::{AgentPlan, ModelPlan, ModelWork, Work};
use super::crew_plan::CrewPlan;
use super::flow::{ForEachPlan, Items};
use super::http::{BodyPlan, HttpPlan};
use super::mcp::McpAccess;
use super::step_plan::{CheckPlan, Parse, StepKind, StepPlan};
use super::tool_plan::{ProcessPlan, ToolCommand, ToolKind, ToolPlan};
use crate::attachment::Attached;
use crate::secret::is_telling;
use crate::template::Template;
use crate::text::digest::{canonical, hash};

/// Digits of a hash.
const DIGITS: usize = 16;
/// Parts that a message names.
const MAX_NAMED: usize = 5;

/// The hash of a crew, and those of its parts by their names, such as `prompt of review`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprint {
    pub hash: String,
    pub parts: BTreeMap<String, String>,
}

impl Fingerprint {
    pub fn of(plan: &CrewPlan) -> Self {
        let parts = Self::parts_of(plan);
        let whole: String = parts.iter().map(|(name, hash)| format!("{name}={hash}\n")).collect();
        Self { hash: short(&whole), parts }
    }

    /// Only the hashes of the parts.
    pub fn parts_of(plan: &CrewPlan) -> BTreeMap<String, String> {
        let mut parts = Parts::default();
        parts.crew(plan);
        plan.agents.iter().for_each(|agent| parts.agent(agent, plan));
        plan.tools().into_iter().for_each(|tool| parts.tool(tool));
        parts.0
    }

    /// The names of the parts that differ, as a text.
    pub fn changes(&self, other: &Self) -> String {
        let mut names = self.differing(&other.parts);
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        let named = names.join(", ");
        if more > 0 { format!("{named} and {more} more") } else { named }
    }

    /// The names of the differing parts that an agent of the plan depends on. Every agent depends
    /// on every variable.
    pub fn changes_of(
        &self,
        other: &BTreeMap<String, String>,
        agent: &AgentPlan,
        plan: &CrewPlan,
    ) -> Vec<String> {
        let is_tool = |name: &str| agent.tools().iter().any(|tool| tool.spec.name == name);
        let servers = agent.grants().iter().map(|grant| grant.server);
        let servers: Vec<&str> =
            servers.map(|server| plan.mcp_servers[server].name.as_str()).collect();
        let is_provider = |name: &str| {
            agent.models().any(|model| match model {
                ModelPlan::Offline => false,
                ModelPlan::Remote { provider, .. } => plan.providers[*provider].name == name,
            })
        };
        let touches = |part: &str| match part.split_once(' ') {
            Some(("variable", _)) => true,
            Some(("tool", name)) => is_tool(name),
            Some(("provider", name)) => is_provider(name),
            _ => match part.strip_prefix("MCP server ") {
                Some(name) => servers.contains(&name),
                None => part.rsplit_once(" of ").is_some_and(|(_, name)| name == agent.name),
            },
        };
        let differing = self.differing(other).into_iter();
        differing.filter(|part| touches(part)).map(str::to_owned).collect()
    }

    fn differing<'a>(&'a self, other: &'a BTreeMap<String, String>) -> Vec<&'a str> {
        let names = self.parts.keys().chain(other.keys()).map(String::as_str);
        let names: BTreeSet<&str> =
            names.filter(|name| self.parts.get(*name) != other.get(*name)).collect();
        names.into_iter().collect()
    }
}

fn short(text: &str) -> String {
    let mut hash = hash(text);
    hash.truncate(DIGITS);
    hash
}

#[derive(Default)]
struct Parts(BTreeMap<String, String>);

impl Parts {
    /// Adds a part, unless it has its default: a new setting of crew then changes no fingerprint.
    fn add(&mut self, name: impl Display, value: Value) {
        let is_empty = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(entries) => entries.is_empty(),
            _ => false,
        };
        if !is_empty {
            self.0.insert(name.to_string(), short(&canonical(&value)));
        }
    }

    fn crew(&mut self, plan: &CrewPlan) {
        let variables = plan.vars.values().as_object().into_iter().flatten();
        for (name, value) in variables {
            self.add(format_args!("variable {name}"), json!([value]));
        }
        let output = plan.output.map(|agent| plan.agents[agent].name.clone());
        self.add("output", json!(output));
        let fail_if = plan.fail_if.as_ref().map(|fail_if| fail_if.condition.source());
        self.add("fail_if", json!(fail_if));
        for provider in &plan.providers {
            let api = format!("{:?}", provider.api);
            let value = json!([provider.base_url.as_str(), api]);
            self.add(format_args!("provider {}", provider.name), value);
        }
        let is_used = |index| {
            let granted =
                |agent: &AgentPlan| agent.grants().iter().any(|grant| grant.server == index);
            let tool =
                |tool: &ToolPlan| matches!(&tool.kind, ToolKind::Mcp(mcp) if mcp.server == index);
            plan.agents.iter().any(granted) || plan.tools().into_iter().any(tool)
        };
        for (_, server) in plan.mcp_servers.iter().enumerate().filter(|(index, _)| is_used(*index))
        {
            let value = match &server.access {
                McpAccess::Process { program, args, .. } => json!([program, args]),
                McpAccess::Http { url, .. } => json!(url.as_str()),
            };
            self.add(format_args!("MCP server {}", server.name), value);
        }
    }

    fn agent(&mut self, agent: &AgentPlan, plan: &CrewPlan) {
        let name = &agent.name;
        let mut add = |what: &str, value: Value| self.add(format_args!("{what} of {name}"), value);
        let needs = agent.needs.iter();
        let needs = needs.map(|need| json!([plan.agents[need.agent].name, need.done]));
        // An agent without any other part is there as well.
        add("needs", json!([needs.collect::<Vec<_>>()]));
        add("when", json!(agent.when.as_ref().map(|when| when.source())));
        add("for_each", agent.for_each.as_ref().map(for_each).unwrap_or_default());
        add("schema", json!(agent.output_schema.as_ref().map(|schema| schema.schema())));
        match &agent.work {
            Work::Model(work) => {
                model_work(work, plan, &mut add);
                add("settings", settings(agent));
            }
            Work::Step(work) => add("step", step(work)),
        }
    }

    fn tool(&mut self, tool: &ToolPlan) {
        let kind = match &tool.kind {
            ToolKind::Process(plan) => process(plan),
            ToolKind::Http(plan) => http(plan),
            ToolKind::Mcp(plan) => json!(plan.tool),
        };
        let value = json!([tool.spec.description, *tool.spec.parameters, kind]);
        self.add(format_args!("tool {}", tool.spec.name), value);
    }
}

fn model_work(work: &ModelWork, plan: &CrewPlan, add: &mut impl FnMut(&str, Value)) {
    add("model", work.models().map(|model| model.label()).collect());
    add("system", sources(&work.system));
    add("prompt", source(&work.prompt));
    let attached = work.attached.iter().map(|file| match file {
        Attached::Text { name, text } => hash(&format!("{name}\n{text}")),
        Attached::File(file) => hash(&format!("{}\n{}", file.name, file.url)),
    });
    add("attachments", json!(attached.collect::<Vec<_>>()));
    add("attach", sources(&work.attach));
    add("tools", work.tools.iter().map(|tool| tool.spec.name.as_str()).collect());
    let grants = work.grants.iter();
    let grants = grants.map(|grant| json!([plan.mcp_servers[grant.server].name, grant.pattern]));
    add("MCP tools", grants.collect());
    add("check", work.check.as_ref().map(check).unwrap_or_default());
}

/// The settings that change answers; limits do not.
fn settings(agent: &AgentPlan) -> Value {
    let settings = &agent.settings;
    let mut values = json!({
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
        "effort": settings.effort,
    });
    if let Value::Object(entries) = &mut values {
        if !settings.stop.is_empty() {
            entries.insert("stop".to_owned(), json!(settings.stop));
        }
        if !settings.extra_body.is_empty() {
            entries.insert("extra_body".to_owned(), json!(*settings.extra_body));
        }
        entries.retain(|_, value| !value.is_null());
    }
    values
}

fn for_each(plan: &ForEachPlan) -> Value {
    let items = match &plan.items {
        Items::List(items) => json!(items),
        Items::Expression(expression) => json!(expression.source()),
    };
    json!([items, plan.key.as_ref().map(source)])
}

fn step(step: &StepPlan) -> Value {
    let kind = match &step.kind {
        StepKind::Process(plan) => process(plan),
        StepKind::Http(plan) => http(plan),
    };
    let parse = match step.parse {
        Parse::Text => "text",
        Parse::Lines => "lines",
        Parse::Json => "json",
    };
    json!([kind, step.stdin.as_ref().map(source), parse, step.ok_exit_codes])
}

fn check(check: &CheckPlan) -> Value {
    process(&check.process)
}

fn process(plan: &ProcessPlan) -> Value {
    let command = match &plan.command {
        ToolCommand::Argv(arguments) => sources(arguments),
        ToolCommand::Shell(script) => json!(script),
    };
    let set_env = plan.set_env.iter().filter(|(name, _)| !is_telling(name));
    let set_env: Vec<Value> = set_env.map(|(name, value)| json!([name, source(value)])).collect();
    json!([command, plan.cwd.as_ref().map(source), set_env])
}

fn http(plan: &HttpPlan) -> Value {
    let is_open = |name: &str| !is_telling(name);
    let query = plan.query.iter().filter(|(name, _)| is_open(name));
    let query: Vec<Value> = query.map(|(name, value)| json!([name, source(value)])).collect();
    let headers = plan.headers.iter().filter(|header| is_open(header.name.as_str()));
    let headers = headers.map(|header| json!([header.name.as_str(), source(&header.value)]));
    let headers: Vec<Value> = headers.collect();
    let body = plan.body.as_ref().map(body);
    json!([plan.method.as_str(), plan.origin.as_str(), sources(&plan.path), query, headers, body])
}

fn body(plan: &BodyPlan) -> Value {
    match plan {
        BodyPlan::Text(template) => source(template),
        BodyPlan::List(items) => items.iter().map(body).collect(),
        BodyPlan::Map(entries) => {
            entries.iter().map(|(name, value)| json!([name, body(value)])).collect()
        }
        BodyPlan::Plain(value) => value.clone(),
    }
}

fn sources(templates: &[Template]) -> Value {
    templates.iter().map(source).collect()
}

fn source(template: &Template) -> Value {
    json!(template.source())
}
