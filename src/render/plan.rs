//! `crew check`: the plan and the tools of MCP servers, as tables.

use std::io::{self, Write};
use std::time::Duration;

use super::paint::{BAD, paint};
use super::programs::{MAX_COMMAND, permissions, program, request, section};
use super::words::{count, limit, yes_or_no};
use super::{Look, fit, flow, limits};
use crate::plan::{
    AgentPlan, Confirm, CrewPlan, McpAccess, McpServerPlan, ProviderPlan, ToolKind, ToolPlan,
};
use crate::secret::Secrets;
use crate::text::inline;
use crate::tool::mcp::{Offer, OfferedTool};

/// Columns of the description of an MCP server's tool.
const MAX_DESCRIPTION: usize = 200;

/// Writes the agents in the order in which they start, their tools, servers and limits.
pub fn plan(plan: &CrewPlan, look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    let description = plan.description.iter().map(|text| format!(": {}", inline(text.trim())));
    let title = format!("crew {}{}", inline(&plan.name), description.collect::<String>());
    fit::wrap(&title, look.width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "{}", inline(&plan.file.to_string_lossy()))?;
    for file in &plan.included {
        writeln!(out, "+ {}", inline(&file.to_string_lossy()))?;
    }
    let waves = plan.waves().into_iter().enumerate();
    let agents: Vec<_> = waves
        .flat_map(|(wave, agents)| agents.into_iter().map(move |agent| (wave, agent)))
        .map(|(wave, agent)| agent_row(plan, wave, &plan.agents[agent]))
        .collect();
    let titles = ["stage", "agent", "needs", "model", "tools", "timeout", "turns"];
    section(titles, &agents, look, out)?;
    let secrets = plan.secrets();
    let tools: Vec<_> = plan.tools().into_iter().map(|tool| tool_row(tool, &secrets)).collect();
    section(["tool", "runs", "timeout", "sandbox", "confirm"], &tools, look, out)?;
    let providers: Vec<_> =
        plan.providers.iter().map(|provider| provider_row(provider, &secrets)).collect();
    section(["provider", "API", "address"], &providers, look, out)?;
    let servers: Vec<_> = plan.mcp_servers.iter().map(|server| server_row(server)).collect();
    section(
        ["MCP server", "command or URL", "timeout", "sandbox", "confirm"],
        &servers,
        look,
        out,
    )?;
    let titles = ["price per million tokens", "input", "cached input", "output"];
    section(titles, &limits::prices(plan), look, out)?;
    flow::write(plan, &secrets, look, out)?;
    let structured = plan.agents.iter().filter(|agent| agent.output_schema.is_some());
    let structured: Vec<&str> = structured.map(|agent| agent.name.as_str()).collect();
    if !structured.is_empty() {
        writeln!(out, "\nstructured answers: {}", structured.join(" "))?;
    }
    writeln!(out)?;
    let mut label = "limits:";
    let room = look.width.saturating_sub(8);
    for line in limits::limits(plan).iter().flat_map(|line| fit::wrap(line, room)) {
        writeln!(out, "{label:8}{line}")?;
        label = "";
    }
    Ok(())
}

/// Writes the tools of the MCP servers, each with the hints and the description of its server.
pub fn offers(offers: &[Offer], look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    for offer in offers {
        writeln!(out, "\nMCP server {}", inline(&offer.server))?;
        let row = |tool: &OfferedTool| {
            [
                inline(&tool.name).into_owned(),
                hints(tool).to_owned(),
                fit::cut(&inline(tool.description.trim()), MAX_DESCRIPTION).into_owned(),
            ]
        };
        let tools: Vec<_> = offer.tools.iter().map(row).collect();
        section(["tool", "hints", "description"], &tools, look, out)?;
        for fault in &offer.faults {
            writeln!(out, "{}: {}", paint("error", BAD, look.colour), inline(fault))?;
        }
    }
    Ok(())
}

/// A read-only tool is not destructive; a server that claims both is shown as it is.
fn hints(tool: &OfferedTool) -> &'static str {
    match (tool.read_only, tool.destructive) {
        (Some(true), Some(true)) => "read-only, destructive",
        (Some(true), _) => "read-only",
        (_, Some(true)) => "destructive",
        (_, Some(false)) => "not destructive",
        _ => "",
    }
}

/// How a server is reached, without arguments and path: a variable may have put a key into them.
fn access(server: &McpServerPlan) -> String {
    let text = match &server.access {
        McpAccess::Process { program, args, .. } => {
            let program = program.to_string_lossy();
            match args.len() as u64 {
                0 => program.into_owned(),
                number => format!("{program} ({})", count(number, "argument", "arguments")),
            }
        }
        McpAccess::Http { url, .. } => url.origin().ascii_serialization(),
    };
    fit::cut(&inline(&text), MAX_COMMAND).into_owned()
}

fn agent_row(plan: &CrewPlan, wave: usize, agent: &AgentPlan) -> [String; 7] {
    let needs = agent.needs.iter().map(|need| {
        let done = if need.done { " (done)" } else { "" };
        format!("{}{done}", plan.agents[need.agent].name)
    });
    let tools = agent.tools().iter().map(|tool| tool.spec.name.clone());
    let grants = agent.grants().iter().map(|grant| {
        let server = &plan.mcp_servers[grant.server].name;
        match grant.pattern.as_str() {
            "*" => server.clone(),
            pattern => format!("{server}.{}", inline(pattern)),
        }
    });
    [
        (wave + 1).to_string(),
        format!("{}{}", agent.name, if agent.for_each.is_some() { "[…]" } else { "" }),
        needs.collect::<Vec<_>>().join(" "),
        models(agent),
        tools.chain(grants).collect::<Vec<_>>().join(" "),
        limit(agent.settings.timeout),
        agent.model_work().map_or("-".to_owned(), |_| agent.settings.max_turns.to_string()),
    ]
}

fn tool_row(tool: &ToolPlan, secrets: &Secrets) -> [String; 5] {
    let sandbox = match &tool.kind {
        ToolKind::Process(process) => permissions(process.sandbox.as_ref()),
        ToolKind::Http(_) | ToolKind::Mcp(_) => "-".to_owned(),
    };
    [
        tool.spec.name.clone(),
        command(tool, secrets),
        own_timeout(tool.timeout),
        sandbox,
        yes_or_no(tool.confirm).to_owned(),
    ]
}

fn provider_row(provider: &ProviderPlan, secrets: &Secrets) -> [String; 3] {
    // A variable may have put a key into the address.
    let address = secrets.redact(provider.address());
    [provider.name.clone(), provider.api.to_string(), inline(&address).into_owned()]
}

fn server_row(server: &McpServerPlan) -> [String; 5] {
    let sandbox = match &server.access {
        McpAccess::Process { sandbox, .. } => permissions(sandbox.as_ref()),
        McpAccess::Http { .. } => "-".to_owned(),
    };
    [
        server.name.clone(),
        access(server),
        own_timeout(server.timeout),
        sandbox,
        match server.confirm {
            Confirm::Never => "no",
            Confirm::Always => "yes",
            Confirm::Destructive => "destructive",
        }
        .to_owned(),
    ]
}

fn own_timeout(timeout: Option<Duration>) -> String {
    timeout.map_or_else(|| "default".to_owned(), limit)
}

/// The models of an agent in the order in which they are tried.
fn models(agent: &AgentPlan) -> String {
    if agent.step().is_some() {
        return "step".to_owned();
    }
    let labels: Vec<_> = agent.models().map(|model| inline(model.label())).collect();
    labels.join(", then ")
}

fn command(tool: &ToolPlan, secrets: &Secrets) -> String {
    let text = match &tool.kind {
        ToolKind::Process(process) => return program(process, secrets),
        ToolKind::Mcp(tool) => tool.label.clone(),
        ToolKind::Http(http) => return inline(&request(http)).into_owned(),
    };
    fit::cut(&inline(&secrets.redact(text)), MAX_COMMAND).into_owned()
}
