//! Instances of one agent beside as many agents, and the memory of instances that are not open.

use std::path::PathBuf;

use crate::launch::Taken;
use crate::measure::{Bench, DELAY, MIB};
use crate::table::{Goal, Row};

const INSTANCES: usize = 1000;
/// Instances at once where memory has to follow those that are open.
const FEW: usize = 50;
const SAMPLES: usize = 15;

/// Runs instances and agents in turn, then instances a few at a time.
pub fn measure(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let agents = bench.crew_file(INSTANCES, DELAY, Some(INSTANCES))?;
    let all = file(bench, INSTANCES)?;
    let few = file(bench, FEW)?;
    let (mut of_all, mut of_few, mut of_agents) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        of_agents.push(bench.success(bench.crew(&agents)?)?);
        of_all.push(bench.success(bench.crew(&all)?)?);
        of_few.push(bench.success(bench.crew(&few)?)?);
    }
    let values = |samples: &[Taken], of: fn(&Taken) -> f64| samples.iter().map(of).collect();
    let peak = |taken: &Taken| taken.peak / MIB;
    let row = |what: &str, unit, crew, floor, beside, goal| Row {
        name: format!("{INSTANCES} instances of {DELAY} ms{what}"),
        unit,
        crew,
        floor,
        beside,
        goal,
    };
    Ok(vec![
        row(
            ": wall time",
            "ms",
            values(&of_all, Taken::wall),
            values(&of_agents, Taken::wall),
            "1000 agents",
            Goal::Ratio(1.05),
        ),
        row(
            ": peak memory",
            "MiB",
            values(&of_all, peak),
            values(&of_agents, peak),
            "1000 agents",
            Goal::None,
        ),
        row(
            &format!(", {FEW} at once: peak memory"),
            "MiB",
            values(&of_few, peak),
            values(&of_all, peak),
            "all at once",
            Goal::Ratio(1.0),
        ),
    ])
}

/// Writes a file of one agent with instances, this many at once.
fn file(bench: &Bench, at_once: usize) -> anyhow::Result<PathBuf> {
    let base_url = bench.server.base_url(DELAY);
    let items: Vec<String> = (0..INSTANCES).map(|item| item.to_string()).collect();
    let yaml = format!(
        "providers:\n  bench: {{api: openai, base_url: '{base_url}', max_concurrency: {INSTANCES}}}\n\
         defaults: {{model: bench/m, timeout: 1m}}\nagents:\n  clerk:\n    role: Clerk\n    \
         goal: Find out why the machine is slow\n    max_items: {INSTANCES}\n    \
         max_parallel: {at_once}\n    for_each: [{}]\n",
        items.join(", ")
    );
    bench.write(&format!("instances-{at_once}.yaml"), &yaml)
}
