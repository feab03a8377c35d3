//! `crew check`: what would run, as a table.

use std::io::{self, Write};
use std::sync::Arc;

use comfy_table::{ContentArrangement, Table, presets};

use super::sanitize::inline;
use super::words::{count, limit};
use super::{Look, fit};
use crate::plan::{AgentPlan, BudgetPlan, CrewPlan, OnFailure, ToolCommand, ToolPlan};

/// Columns of what a tool runs.
const WIDEST_COMMAND: usize = 60;

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
    let tools = tools(plan);
    if !tools.is_empty() {
        let mut table = table(look, &["tool", "runs", "timeout"]);
        for tool in tools {
            let timeout = tool.timeout.map_or_else(|| "the agent's".to_owned(), limit);
            table.add_row([tool.spec.name.clone(), command(tool), timeout]);
        }
        writeln!(out)?;
        write_table(&table, out)?;
    }
    writeln!(out, "\n{}", limits(plan))
}

fn agent_row(plan: &CrewPlan, wave: usize, agent: &AgentPlan) -> [String; 7] {
    let needs = agent.needs.iter().map(|&needed| plan.agents[needed].name.as_str());
    let tools = agent.tools.iter().map(|tool| tool.spec.name.as_str());
    [
        (wave + 1).to_string(),
        agent.name.clone(),
        needs.collect::<Vec<_>>().join(" "),
        models(agent),
        tools.collect::<Vec<_>>().join(" "),
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

/// Those the agents use, each once, in the order of their first use.
fn tools(plan: &CrewPlan) -> Vec<&ToolPlan> {
    let mut tools: Vec<&Arc<ToolPlan>> = Vec::new();
    for tool in plan.agents.iter().flat_map(|agent| &agent.tools) {
        if !tools.iter().any(|known| known.spec.name == tool.spec.name) {
            tools.push(tool);
        }
    }
    tools.into_iter().map(AsRef::as_ref).collect()
}

fn command(tool: &ToolPlan) -> String {
    let text = match &tool.command {
        ToolCommand::Argv(arguments) => {
            arguments.iter().map(|argument| argument.source()).collect::<Vec<_>>().join(" ")
        }
        ToolCommand::Shell(script) => format!("sh: {}", script.trim()),
    };
    fit::cut(&inline(&text), WIDEST_COMMAND).into_owned()
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
    let budget = budget(&plan.budget);
    format!(
        "limits: {} for the run, {} of grace for tools\n        {at_once}; {on_failure}{budget}",
        limit(limits.timeout),
        limit(limits.grace)
    )
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
