//! `crew check`: the plan and the tools of MCP servers, as tables.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::paint::{BAD, paint};
use super::table::{Column, Narrow, list, table};
use super::words::{count, limit, yes_or_no};
use super::{Look, fit, limits};
use crate::plan::{
    AgentPlan, CrewPlan, HttpPlan, McpAccess, McpServerPlan, ProviderPlan, SandboxPlan,
    ToolCommand, ToolKind, ToolPlan,
};
use crate::secret::Secrets;
use crate::text::inline;
use crate::tool::mcp::{Offer, OfferedTool};

/// Columns of a terminal that is wide enough for tables.
const MIN_TABLE: usize = 80;
/// Columns of the command of a tool.
const MAX_COMMAND: usize = 60;
/// Columns of the permissions of a sandbox.
const MAX_SANDBOX: usize = 200;
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
    let titles = ["wave", "agent", "needs", "model", "tools", "timeout", "turns"];
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
        limit(agent.settings.timeout),
        agent.settings.max_turns.to_string(),
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
        yes_or_no(server.confirm).to_owned(),
    ]
}

fn own_timeout(timeout: Option<Duration>) -> String {
    timeout.map_or_else(|| "the agent's".to_owned(), limit)
}

/// The models of an agent in the order in which they are tried.
fn models(agent: &AgentPlan) -> String {
    let labels: Vec<_> = agent.models().map(|model| inline(model.label())).collect();
    labels.join(", then ")
}

fn command(tool: &ToolPlan, secrets: &Secrets) -> String {
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
    fit::cut(&inline(&secrets.redact(text)), MAX_COMMAND).into_owned()
}

/// The permissions of a sandbox. The network comes first, as there can be many paths.
fn permissions(sandbox: Option<&SandboxPlan>) -> String {
    let Some(SandboxPlan { sandbox, .. }) = sandbox else { return "none".to_owned() };
    let list = |verb: &str, paths: &[PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        (!paths.is_empty()).then(|| format!("{verb} {}", paths.join(" ")))
    };
    let network = if sandbox.network { "network" } else { "no network" };
    let paths = [list("reads", &sandbox.read), list("writes", &sandbox.write)];
    let parts: Vec<_> = [Some(network.to_owned())].into_iter().chain(paths).flatten().collect();
    fit::cut(&inline(&parts.join(", ")), MAX_SANDBOX).into_owned()
}

/// The request of an HTTP tool, with all hosts that it may be redirected to. Path and query are
/// left out: a variable may have put a key into them.
fn request(http: &HttpPlan) -> String {
    let mut hosts = http.hosts.iter().map(ToString::to_string);
    let own = hosts.next().unwrap_or_default();
    let others = hosts.collect::<Vec<_>>().join(", ");
    let others = if others.is_empty() { others } else { format!(" (redirects: {others})") };
    format!("{} {}://{own}{others}", http.method, http.origin.scheme())
}

/// A table after an empty line, if it has any rows. On a narrow terminal it is a list.
fn section<const N: usize>(
    titles: [&'static str; N],
    rows: &[[String; N]],
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = titles.map(|title| Column::text(title, Narrow::Wrap));
    let cell = |row: usize, column: usize| (&rows[row][column]).into();
    let lines = match look.width < MIN_TABLE {
        true => list(&columns, rows.len(), cell, look.width),
        false => table(&columns, rows.len(), cell, look.width),
    };
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
