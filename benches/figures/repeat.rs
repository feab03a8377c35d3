//! The same crew run again and again in one process, as a program around crew's library would:
//! what a run leaves behind would add up.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crew::cancel::Cancellation;
use crew::engine;
use crew::plan::{self, Overrides};
use crew::report::{EventSink, RunStatus};
use crew::services::Services;

use crate::launch;
use crate::measure::{Bench, MIB, text};
use crate::table::{Goal, Row};

pub const ROLE: &str = "repeat";

const RUNS: u32 = 12_000;
/// Runs after which nothing new is to be allocated for good.
pub const EARLY: u32 = 500;
/// Calls of one run.
const CALLS: usize = 2;
/// The server answers at once.
const NO_DELAY: &str = "0";

/// The process itself: says how much memory was in use early on and at the end.
pub fn run(file: &Path) -> anyhow::Result<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let plan = plan::load(Some(file), &Overrides::default(), &environment);
    let plan = plan.map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let events: EventSink = Arc::new(drop);
    let mut early = 0;
    runtime.block_on(async {
        let cancel = Cancellation::new();
        let services = Services::connect(&plan, &cancel, None)?;
        for run in 0..RUNS {
            let report =
                engine::run(&plan, &"my laptop is slow".into(), &services, &cancel, &events).await;
            anyhow::ensure!(report.status == RunStatus::Succeeded, "{report:?}");
            if run == EARLY {
                early = launch::memory(std::process::id())?;
            }
        }
        anyhow::Ok(())
    })?;
    Ok(writeln!(io::stdout(), "{early} {}", launch::memory(std::process::id())?)?)
}

/// Runs it beside a bare client that makes the same calls as often.
pub fn measure(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let file = bench.crew_file(CALLS, NO_DELAY, None)?;
    let bare = bench.success(bench.bare(NO_DELAY, CALLS, RUNS)?)?;
    let crew = bench.success(bench.this_program(&[ROLE, text(&file)?])?)?;
    let output = bench.output()?;
    let numbers: Vec<f64> = output.split_whitespace().flat_map(str::parse).collect();
    let [early, late] = numbers[..] else { anyhow::bail!("no memory was told: {output:?}") };
    let row = |name: &str, unit, crew, floor, beside, goal| Row {
        name: format!("{RUNS} runs in one process: {name}"),
        unit,
        crew: vec![crew],
        floor: vec![floor],
        beside,
        goal,
    };
    let runs = f64::from(RUNS);
    let after = "after 500 runs";
    Ok(vec![
        row(
            "wall time of one",
            "ms",
            crew.wall() / runs,
            bare.wall() / runs,
            "bare client",
            Goal::None,
        ),
        row("CPU of one", "ms", crew.cpu / runs, bare.cpu / runs, "bare client", Goal::None),
        row("memory", "MiB", late / MIB, early / MIB, after, Goal::Above(1.0)),
    ])
}
