//! The live display of many agents on a terminal, beside the same runs without it.

use crate::launch::{Launched, Taken};
use crate::measure::Bench;
use crate::table::{Goal, Row};

const AGENTS: usize = 1000;
/// The delay of the server's answers in milliseconds: time for a number of frames.
const DELAY: &str = "2000";
const SAMPLES: usize = 15;

/// Runs crew with the display and without it in turn, both with stderr on a terminal.
pub fn measure(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let file = bench.crew_file(AGENTS, DELAY, Some(AGENTS))?;
    let run = |arguments: &[&str]| {
        let launched = bench.crew_on(Launched::on_terminal, &file, arguments)?;
        bench.success(launched)
    };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        without.push(run(&["--no-progress"])?);
        with.push(run(&[])?);
    }
    let cpu = |samples: &[Taken]| samples.iter().map(|taken| taken.cpu).collect();
    Ok(vec![Row {
        name: format!("{AGENTS} agents of {DELAY} ms, display on a terminal: CPU"),
        unit: "ms",
        crew: cpu(&with),
        floor: cpu(&without),
        beside: "--no-progress",
        goal: Goal::Ratio(1.10),
    }])
}
