//! `crew check`: what would run, as a table.

use std::io::{self, Write};
use std::path::PathBuf;

use comfy_table::{ContentArrangement, Table, presets};

use super::paint::{BAD, paint};
use super::sanitize::inline;
use super::words::{count, limit};
use super::{Look, fit};
use crate::plan::{
    AgentPlan, BudgetPlan, CrewPlan, HttpPlan, McpAccess, McpServerPlan, OnFailure, ProcessPlan,
    ProviderPlan, RateLimits, SandboxPlan, ToolCommand, ToolKind, ToolPlan,
};
use crate::report::Offer;

/// Columns of what a tool runs.
const WIDEST_COMMAND: usize = 60;
/// Columns of what a server says of its tool.
const WIDEST_DESCRIPTION: usize = 200;

/// Writes the agents in order of start, their tools, and the limits of the run.
pub fn plan(plan: &CrewPlan, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let description = plan.description.iter().map(|text| format!(": {}", inline(text.trim())));
    writeln!(out, "crew {}{}", inline(&plan.name), description.collect::<String>())?;
    writeln!(out, "{}\n", inline(&plan.file.to_string_lossy()))?;
    let mut agents = table(look, &["wave", "agent", "needs", "model", "tools", "timeout", "turns"]);
    for (wave, members) in plan.waves().into_iter().enumerate() {
        for agent in members.into_iter().map(|index| &plan.agents[index]) {
            agents.add_row(agent_row(plan, wave, agent));
        }
    }
    write_table(&agents, out)?;
    let tools = plan.tools();
    if !tools.is_empty() {
        let mut table = table(look, &["tool", "runs", "timeout", "sandbox", "asks"]);
        for tool in tools {
            let timeout = tool.timeout.map_or_else(|| "the agent's".to_owned(), limit);
            table.add_row([
                tool.spec.name.clone(),
                command(tool),
                timeout,
                sandbox(tool),
                asks(tool.confirm),
            ]);
        }
        writeln!(out)?;
        write_table(&table, out)?;
    }
    if !plan.providers.is_empty() {
        let mut table = table(look, &["provider", "api", "address"]);
        for provider in &plan.providers {
            let address = inline(&provider.base_url).into_owned();
            table.add_row([provider.name.clone(), provider.api.to_string(), address]);
        }
        writeln!(out)?;
        write_table(&table, out)?;
    }
    if !plan.mcp_servers.is_empty() {
        let mut table =
            table(look, &["MCP server", "reached by", "timeout", "sandbox", "asks first"]);
        for server in &plan.mcp_servers {
            let timeout = server.timeout.map_or_else(|| "the agent's".to_owned(), limit);
            let sandbox = match &server.access {
                McpAccess::Process { sandbox, .. } => confinement(sandbox.as_ref()),
                McpAccess::Http { .. } => "-".to_owned(),
            };
            table.add_row([
                server.name.clone(),
                access(server),
                timeout,
                sandbox,
                asks(server.confirm),
            ]);
        }
        writeln!(out)?;
        write_table(&table, out)?;
    }
    let structured = plan.agents.iter().filter(|agent| agent.output_schema.is_some());
    let structured: Vec<&str> = structured.map(|agent| agent.name.as_str()).collect();
    if !structured.is_empty() {
        writeln!(out, "\nstructured answers: {}", structured.join(" "))?;
    }
    for warning in plan.warnings() {
        writeln!(out, "\nwarning: {}", inline(&warning))?;
    }
    writeln!(out, "\n{}", limits(plan))
}

/// Writes what the MCP servers offer, each tool with what its server says of it.
pub fn offers(offers: &[Offer], look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    for offer in offers {
        writeln!(out, "\nMCP server {}", inline(&offer.server))?;
        let mut table = table(look, &["tool", "hints", "description"]);
        for tool in &offer.tools {
            let hints = [(tool.read_only, "read-only"), (tool.destructive, "destructive")];
            let hints = hints.into_iter().filter(|(given, _)| *given).map(|(_, hint)| hint);
            table.add_row([
                inline(&tool.name).into_owned(),
                hints.collect::<Vec<_>>().join(" "),
                fit::cut(&inline(tool.description.trim()), WIDEST_DESCRIPTION).into_owned(),
            ]);
        }
        if !offer.tools.is_empty() {
            write_table(&table, out)?;
        }
        for fault in &offer.faults {
            writeln!(out, "{}: {}", paint("error", BAD, look.colour), inline(fault))?;
        }
    }
    Ok(())
}

/// Neither arguments nor path: a variable may have brought a key into them.
fn access(server: &McpServerPlan) -> String {
    let text = match &server.access {
        McpAccess::Process { program, args, .. } => {
            let program = program.to_string_lossy();
            match args.len() as u64 {
                0 => program.into_owned(),
                number => format!("{program} ({})", count(number, "argument", "arguments")),
            }
        }
        McpAccess::Http { url, .. } => match url.split_once("://") {
            Some((scheme, rest)) => {
                format!("{scheme}://{}", rest.split(['/', '?']).next().unwrap_or_default())
            }
            None => String::new(),
        },
    };
    fit::cut(&inline(&text), WIDEST_COMMAND).into_owned()
}

fn agent_row(plan: &CrewPlan, wave: usize, agent: &AgentPlan) -> [String; 7] {
    let needs = agent.needs.iter().map(|&needed| plan.agents[needed].name.as_str());
    let tools = agent.tools.iter().map(|tool| tool.spec.name.clone());
    let grants = agent.grants.iter().map(|grant| {
        let server = &plan.mcp_servers[grant.server].name;
        match grant.pattern.as_str() {
            "*" => server.clone(),
            pattern => format!("{server}.{}", inline(pattern)),
        }
    });
    [
        (wave + 1).to_string(),
        agent.name.clone(),
        needs.collect::<Vec<_>>().join(" "),
        models(agent),
        tools.chain(grants).collect::<Vec<_>>().join(" "),
        limit(agent.timeout),
        agent.max_turns.to_string(),
    ]
}

/// The model, and those that stand in for it.
fn models(agent: &AgentPlan) -> String {
    let models = std::iter::once(&agent.model).chain(&agent.fallbacks);
    let labels: Vec<_> = models.map(|model| inline(model.label())).collect();
    labels.join(", then ")
}

fn command(tool: &ToolPlan) -> String {
    let text = match &tool.kind {
        ToolKind::Process(process) => match &process.command {
            ToolCommand::Argv(arguments) => {
                arguments.iter().map(|argument| argument.source()).collect::<Vec<_>>().join(" ")
            }
            ToolCommand::Shell(script) => format!("sh: {}", script.trim()),
        },
        ToolKind::Mcp(tool) => tool.label.clone(),
        ToolKind::Http(http) => return inline(&request(http)).into_owned(),
    };
    fit::cut(&inline(&text), WIDEST_COMMAND).into_owned()
}

/// Whether each call waits for leave.
fn asks(confirm: bool) -> String {
    if confirm { "yes" } else { "no" }.to_owned()
}

fn sandbox(tool: &ToolPlan) -> String {
    match &tool.kind {
        ToolKind::Process(ProcessPlan { sandbox, .. }) => confinement(sandbox.as_ref()),
        _ => "-".to_owned(),
    }
}

/// What a program may touch.
fn confinement(sandbox: Option<&SandboxPlan>) -> String {
    let Some(SandboxPlan { sandbox, .. }) = sandbox else { return "none".to_owned() };
    let list = |verb: &str, paths: &[PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        (!paths.is_empty()).then(|| format!("{verb} {}", paths.join(" ")))
    };
    let network = if sandbox.network { "network" } else { "no network" };
    let parts = [list("reads", &sandbox.read), list("writes", &sandbox.write)];
    let parts = parts.into_iter().flatten().chain([network.to_owned()]).collect::<Vec<_>>();
    fit::cut(&inline(&parts.join(", ")), WIDEST_COMMAND).into_owned()
}

/// Neither path nor query: a variable may have brought in a key. The hosts all of them, as that is
/// what one wants to know.
fn request(http: &HttpPlan) -> String {
    let mut hosts = http.hosts.iter().map(ToString::to_string);
    let own = hosts.next().unwrap_or_default();
    let more = match hosts.collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => none,
        more => format!(" (redirects: {more})"),
    };
    format!("{} {}://{own}{more}", http.method, http.origin.scheme())
}

fn limits(plan: &CrewPlan) -> String {
    let limits = &plan.limits;
    let at_once = match limits.max_parallel {
        Some(most) => format!("at most {} at once", count(most as u64, "agent", "agents")),
        None => "all agents at once".to_owned(),
    };
    let on_failure = match limits.on_failure {
        OnFailure::Cancel => "the first failure stops the others",
        OnFailure::Continue => "the others go on when one fails",
    };
    let budget = budget(&plan.budget) + &rates(plan);
    format!(
        "limits: {} for the run, {} of grace for tools\n        {at_once}; {on_failure}{budget}",
        limit(limits.timeout),
        limit(limits.grace)
    )
}

/// What the endpoints are to be spared, a line for each.
fn rates(plan: &CrewPlan) -> String {
    let line = |provider: &ProviderPlan| {
        let RateLimits { max_concurrency, requests_per_minute, tokens_per_minute } =
            provider.limits;
        let parts = [
            max_concurrency.map(|most| format!("{} at once", count(most as u64, "call", "calls"))),
            requests_per_minute
                .map(|most| format!("{} a minute", count(most as u64, "request", "requests"))),
            tokens_per_minute.map(|most| format!("{} a minute", count(most, "token", "tokens"))),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let line = || format!("\n        {}: at most {}", provider.name, parts.join(", "));
        if parts.is_empty() { String::new() } else { line() }
    };
    plan.providers.iter().map(line).collect()
}

/// What the run may use up, on a line of its own.
fn budget(budget: &BudgetPlan) -> String {
    let BudgetPlan { max_tokens, max_cost, max_model_calls, max_tool_calls } = *budget;
    let parts = [
        max_tokens.map(|most| count(most, "token", "tokens")),
        max_cost.map(|most| format!("a cost of {most}")),
        max_model_calls.map(|most| count(most, "model call", "model calls")),
        max_tool_calls.map(|most| count(most, "tool call", "tool calls")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!("\n        at most {}", parts.join(", ")) }
}

fn table(look: Look, header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(u16::try_from(look.width).unwrap_or(u16::MAX))
        .set_header(header);
    table
}

fn write_table(table: &Table, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
}
