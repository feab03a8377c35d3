//! The control flow of a plan: steps, checks, conditions, lists, and the order of stages.

use std::io::{self, Write};

use super::programs::{permissions, program, request, section};
use super::{Look, fit};
use crate::plan::{
    AgentPlan, CrewPlan, ForEachPlan, Items, OnFailure, Parse, ProcessPlan, StepKind,
};
use crate::secret::Secrets;
use crate::text::inline;

/// Columns of an expression.
const MAX_EXPRESSION: usize = 80;

/// Writes what the file says of control flow, if it says anything.
pub fn write(
    plan: &CrewPlan,
    secrets: &Secrets,
    look: Look,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let rows: Vec<_> = plan.agents.iter().flat_map(|agent| programs(agent, secrets)).collect();
    section(["step or check", "runs", "passes on", "sandbox"], &rows, look, out)?;
    let rows: Vec<_> = plan.agents.iter().flat_map(|agent| conditions(agent, secrets)).collect();
    section(["agent", "runs", "expression"], &rows, look, out)?;
    let waves = plan.waves();
    if waves.len() > 1 {
        let stage = |agents: &Vec<usize>| {
            let names = agents.iter().map(|&agent| {
                let agent = &plan.agents[agent];
                let items = if agent.for_each.is_some() { "[…]" } else { "" };
                format!("{}{items}", agent.name)
            });
            names.collect::<Vec<_>>().join(", ")
        };
        let stages = waves.iter().map(stage).collect::<Vec<_>>().join(" → ");
        let stages = format!("stages: {}", inline(&stages));
        writeln!(out)?;
        fit::wrap(&stages, look.width).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    if let Some(output) = plan.output {
        writeln!(out, "\noutput: {}", inline(&plan.agents[output].name))?;
    }
    if let Some(fail_if) = &plan.fail_if {
        writeln!(out, "\nfail_if: {}", expression(fail_if.condition.source(), secrets))?;
    }
    Ok(())
}

fn programs(agent: &AgentPlan, secrets: &Secrets) -> Vec<[String; 4]> {
    let row = |name: String, process: &ProcessPlan| {
        [
            name,
            program(process, secrets),
            process.env.join(" "),
            permissions(process.sandbox.as_ref()),
        ]
    };
    let step = agent.step().map(|step| {
        let mut row = match &step.kind {
            StepKind::Process(process) => row(agent.name.clone(), process),
            StepKind::Http(http) => {
                let request = inline(&request(http)).into_owned();
                [agent.name.clone(), request, String::new(), "-".to_owned()]
            }
        };
        match step.parse {
            Parse::Text => {}
            Parse::Lines => row[1].push_str(" (parse: lines)"),
            Parse::Json => row[1].push_str(" (parse: json)"),
        }
        row
    });
    let check = agent.model_work().and_then(|work| work.check.as_ref());
    let check = check.map(|check| row(format!("check of {}", agent.name), &check.process));
    step.into_iter().chain(check).collect()
}

fn conditions(agent: &AgentPlan, secrets: &Secrets) -> Vec<[String; 3]> {
    let when = agent.when.as_ref().map(|when| expression(when.source(), secrets));
    let rows =
        [("for each", agent.for_each.as_ref().map(|plan| for_each(plan, secrets))), ("when", when)];
    let rows = rows.into_iter().filter_map(|(what, text)| Some((what, text?)));
    rows.map(|(what, text)| [agent.name.clone(), what.to_owned(), text]).collect()
}

/// The list and what the file says of its instances.
fn for_each(plan: &ForEachPlan, secrets: &Secrets) -> String {
    let list = match &plan.items {
        Items::List(items) => format!("{} items", items.len()),
        Items::Expression(items) => {
            format!("{}, max_items {}", expression(items.source(), secrets), plan.max_items)
        }
    };
    let key = plan.key.as_ref().map(|key| format!("key {}", expression(key.source(), secrets)));
    let parallel = plan.max_parallel.map(|number| format!("max_parallel {number}"));
    let on_failure = plan.on_failure.map(|effect| match effect {
        OnFailure::Cancel => "on_failure cancel".to_owned(),
        OnFailure::Continue => "on_failure continue".to_owned(),
    });
    let parts = [Some(list), key, parallel, on_failure];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn expression(source: &str, secrets: &Secrets) -> String {
    fit::cut(&inline(&secrets.redact(source.to_owned())), MAX_EXPRESSION).into_owned()
}
