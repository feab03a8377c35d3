//! One agent or instance: how it ended, its answer, its tool calls and what they cost.

use std::io::{self, Write};

use super::escape::{Inline, Text};
use crate::render::words;
use crate::report::{AgentReport, AgentStatus, CheckReport, ToolCallReport};

pub fn agent(agent: &AgentReport, out: &mut impl Write) -> io::Result<()> {
    let class = words::name(agent.status);
    let (mark, name) = (words::mark(agent.status), Inline(&agent.name));
    let open = if agent.status.is_failure() { " open" } else { "" };
    writeln!(
        out,
        "<details{open}><summary><span class=\"{class}\">{mark}</span> <b>{name}</b> \
         <span class=\"dim\">{}</span></summary>",
        Inline(&facts(agent)),
    )?;
    ending(agent, out)?;
    if let Some(output) = agent.output.as_ref().filter(|output| !output.is_empty()) {
        let title = if agent.partial { "Partial answer" } else { "Answer" };
        writeln!(out, "<h3>{title}</h3>\n<div class=\"text\" dir=\"auto\">{}</div>", Text(output))?;
    }
    if let Some(step) = agent.step.as_ref().filter(|step| !step.stderr.is_empty()) {
        writeln!(out, "<h3>stderr</h3>\n<div class=\"text code\">{}</div>", Text(&step.stderr))?;
    }
    agent.checks.iter().try_for_each(|run| check(run, out))?;
    if !agent.tool_calls.is_empty() {
        writeln!(out, "<h3>Tool calls</h3>")?;
        agent.tool_calls.iter().try_for_each(|call| tool_call(call, out))?;
    }
    writeln!(out, "</details>")
}

/// `succeeded · openai/m · 1.8s · 300 in, 90 out · 2 tool calls · cost 0.0123`.
fn facts(agent: &AgentReport) -> String {
    let mut facts = vec![words::status(agent.status)];
    facts.extend((!agent.model.is_empty()).then(|| agent.model.clone()));
    facts.extend(agent.started_ms.map(|_| words::millis(agent.duration_ms)));
    facts.extend(words::tokens(&agent.usage));
    let calls = agent.usage.tool_calls;
    facts.extend((calls > 0).then(|| words::count(calls, "tool call", "tool calls")));
    facts.extend(words::cost(agent.usage.cost));
    facts.join(" · ")
}

fn ending(agent: &AgentReport, out: &mut impl Write) -> io::Result<()> {
    if let Some(error) = &agent.error {
        writeln!(out, "<p class=\"error\">{}</p>", Inline(&words::error(error)))?;
    }
    if let Some(reason) = agent.reason.as_ref().filter(|_| agent.status != AgentStatus::Succeeded) {
        let reason = words::reason(reason);
        writeln!(out, "<p class=\"dim\">{}: {}</p>", words::status(agent.status), Inline(&reason))?;
    }
    for failed in &agent.fallbacks {
        let (model, error) = (Inline(&failed.model), words::error(&failed.error));
        writeln!(out, "<p class=\"dim\">{model} failed: {}</p>", Inline(&error))?;
    }
    agent.notes.iter().try_for_each(|note| writeln!(out, "<p class=\"dim\">{}</p>", Inline(note)))
}

fn check(check: &CheckReport, out: &mut impl Write) -> io::Result<()> {
    let (class, status) = (words::name(check.status), words::status(check.status));
    let time = words::millis(check.duration_ms);
    writeln!(
        out,
        "<details><summary>check: <span class=\"{class}\">{status}</span> \
         <span class=\"dim\">{}</span></summary>\n<div class=\"text code\">{}</div></details>",
        Inline(&time),
        Text(&check.output),
    )
}

fn tool_call(call: &ToolCallReport, out: &mut impl Write) -> io::Result<()> {
    let (class, status) = (words::name(call.status), words::status(call.status));
    let (tool, time) = (Inline(&call.tool), words::millis(call.duration_ms));
    let arguments = serde_json::to_string_pretty(&call.arguments)?;
    writeln!(
        out,
        "<details><summary>{tool} <span class=\"{class}\">{status}</span> \
         <span class=\"dim\">{}</span></summary>\n<div class=\"text code\">{}</div>\n\
         <div class=\"text code\">{}</div></details>",
        Inline(&time),
        Text(&arguments),
        Text(&call.output),
    )
}
