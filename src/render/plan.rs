//! `crew check`: what would run, as a table.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};

use super::paint::{BAD, paint};
use super::words::{count, limit, yes_or_no};
use super::{Look, fit, limits};
use crate::plan::{
    AgentPlan, CrewPlan, HttpPlan, McpAccess, McpServerPlan, ProviderPlan, SandboxPlan,
    ToolCommand, ToolKind, ToolPlan,
};
use crate::report::{Offer, OfferedTool};
use crate::secret::Secrets;
use crate::text::inline;

/// Columns of what a tool runs.
const WIDEST_COMMAND: usize = 60;
/// Columns of what a program may touch.
const WIDEST_SANDBOX: usize = 200;
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
    let secrets = plan.secrets();
    let tools = plan.tools().into_iter().map(|tool| tool_row(tool, &secrets));
    section(["tool", "runs", "timeout", "sandbox", "asks"], tools.collect(), look, out)?;
    let providers = plan.providers.iter().map(provider_row);
    section(["provider", "api", "address"], providers.collect(), look, out)?;
    let servers = plan.mcp_servers.iter().map(|server| server_row(server));
    section(
        ["MCP server", "reached by", "timeout", "sandbox", "asks"],
        servers.collect(),
        look,
        out,
    )?;
    let prices = limits::prices(plan);
    section(["a million tokens of", "input", "cached input", "output"], prices, look, out)?;
    let structured = plan.agents.iter().filter(|agent| agent.output_schema.is_some());
    let structured: Vec<&str> = structured.map(|agent| agent.name.as_str()).collect();
    if !structured.is_empty() {
        writeln!(out, "\nstructured answers: {}", structured.join(" "))?;
    }
    for warning in plan.warnings() {
        writeln!(out, "\nwarning: {}", inline(&warning))?;
    }
    writeln!(out, "\n{}", limits::limits(plan))
}

/// Writes what the MCP servers offer, each tool with what its server says of it.
pub fn offers(offers: &[Offer], look: Look, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
    for offer in offers {
        writeln!(out, "\nMCP server {}", inline(&offer.server))?;
        let mut table = table(look, &["tool", "hints", "description"]);
        for tool in &offer.tools {
            table.add_row([
                inline(&tool.name).into_owned(),
                hints(tool).to_owned(),
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

/// A tool that only reads destroys nothing; one that says both is better not believed.
fn hints(tool: &OfferedTool) -> &'static str {
    match (tool.read_only, tool.destructive) {
        (Some(true), Some(true)) => "read-only, destructive",
        (Some(true), _) => "read-only",
        (_, Some(true)) => "destructive",
        (_, Some(false)) => "not destructive",
        _ => "",
    }
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
        McpAccess::Http { url, .. } => url.origin().ascii_serialization(),
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
        limit(agent.settings.timeout),
        agent.settings.max_turns.to_string(),
    ]
}

fn tool_row(tool: &ToolPlan, secrets: &Secrets) -> [String; 5] {
    let sandbox = match &tool.kind {
        ToolKind::Process(process) => confines(process.sandbox.as_ref()),
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

fn provider_row(provider: &ProviderPlan) -> [String; 3] {
    let address = inline(&provider.base_url).into_owned();
    [provider.name.clone(), provider.api.to_string(), address]
}

fn server_row(server: &McpServerPlan) -> [String; 5] {
    let sandbox = match &server.access {
        McpAccess::Process { sandbox, .. } => confines(sandbox.as_ref()),
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

/// In the order in which they are asked.
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
    fit::cut(&inline(&secrets.redact(text)), WIDEST_COMMAND).into_owned()
}

/// What a program may touch. That it has no network comes first: paths can be many.
fn confines(sandbox: Option<&SandboxPlan>) -> String {
    let Some(SandboxPlan { sandbox, .. }) = sandbox else { return "none".to_owned() };
    let list = |verb: &str, paths: &[PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        (!paths.is_empty()).then(|| format!("{verb} {}", paths.join(" ")))
    };
    let network = if sandbox.network { "network" } else { "no network" };
    let paths = [list("reads", &sandbox.read), list("writes", &sandbox.write)];
    let parts: Vec<_> = [Some(network.to_owned())].into_iter().chain(paths).flatten().collect();
    fit::cut(&inline(&parts.join(", ")), WIDEST_SANDBOX).into_owned()
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

/// A table below an empty line, if it has any rows.
fn section<const N: usize>(
    header: [&str; N],
    rows: Vec<[String; N]>,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut table = table(look, &header);
    table.add_rows(rows);
    writeln!(out)?;
    write_table(&table, out)
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
