//! Calls to a model: start-up, wall time, processor time and memory.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::TempDir;

use crate::bare;
use crate::launch::{Launched, Taken};
use crate::server::Server;
use crate::table::{Goal, Row};

/// The delay of the server's answers in milliseconds.
pub const DELAY: &str = "100";
const DELAY_MS: f64 = 100.0;
pub const MIB: f64 = 1024.0;

/// The number of agents, the number of samples, and the goal for the wall time.
const SIZES: [(usize, usize, Goal); 4] = [
    (1, 21, Goal::None),
    (5, 41, Goal::Ratio(1.05)),
    (100, 21, Goal::None),
    (1000, 15, Goal::Ratio(1.10)),
];

/// The calls that crew starts at once without `max_concurrency`. With more agents, the file sets it:
/// how crew discovers a server's limit is not what these figures are about.
const CALLS_AT_ONCE: usize = 16;

/// The state that all sections share.
pub struct Bench {
    pub server: Server,
    folder: TempDir,
}

impl Bench {
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self { server: Server::start()?, folder: tempfile::tempdir()? })
    }

    /// Writes a file of this many agents whose model answers after `delay`.
    pub fn crew_file(
        &self,
        agents: usize,
        delay: &str,
        max_concurrency: Option<usize>,
    ) -> anyhow::Result<PathBuf> {
        let base_url = self.server.base_url(delay);
        let limit = max_concurrency.map(|calls| format!(", max_concurrency: {calls}"));
        let limit = limit.unwrap_or_default();
        let mut yaml = format!(
            "providers:\n  bench: {{api: openai, base_url: '{base_url}'{limit}}}\n\
             defaults: {{model: bench/m, timeout: 1m}}\nagents:\n"
        );
        for agent in 0..agents {
            writeln!(
                yaml,
                "  clerk{agent}:\n    role: Clerk\n    goal: Find out why the machine is slow"
            )?;
        }
        self.write(&format!("{agents}-{delay}.yaml"), &yaml)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Starts crew as a user would, with report and progress going to files.
    pub fn crew(&self, file: &Path) -> anyhow::Result<Launched> {
        self.crew_on(Launched::start, file, &[])
    }

    /// Starts crew in this way, with more arguments.
    pub fn crew_on(
        &self,
        start: impl Fn(&Path, &str, &[&str]) -> anyhow::Result<Launched>,
        file: &Path,
        more: &[&str],
    ) -> anyhow::Result<Launched> {
        let file = text(file)?;
        let arguments = ["run", "--no-history", "--config", file, "--input", "my laptop is slow"];
        start(self.folder.path(), env!("CARGO_BIN_EXE_crew"), &[&arguments[..], more].concat())
    }

    /// Starts the bare client.
    pub fn bare(&self, delay: &str, parallel: usize, rounds: u32) -> anyhow::Result<Launched> {
        let url = self.server.base_url(delay);
        self.this_program(&[bare::ROLE, &url, &parallel.to_string(), &rounds.to_string()])
    }

    /// Starts another process of the benchmark itself.
    pub fn this_program(&self, arguments: &[&str]) -> anyhow::Result<Launched> {
        let program = std::env::current_exe()?;
        Launched::start(self.folder.path(), text(&program)?, arguments)
    }

    /// The output of the last process.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.folder.path().join("stdout"))?)
    }

    /// Waits for a process that must succeed. Otherwise its stderr is the error.
    pub fn success(&self, launched: Launched) -> anyhow::Result<Taken> {
        launched.wait(0).with_context(|| {
            let stderr = std::fs::read_to_string(self.folder.path().join("stderr"));
            stderr.unwrap_or_default()
        })
    }
}

/// A path as an argument of a program.
pub fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

/// Samples of crew and of the bare client, taken in turn.
#[derive(Default)]
struct Pairs {
    crew: Vec<Sample>,
    bare: Vec<Sample>,
}

struct Sample {
    taken: Taken,
    /// Milliseconds from the start of the process to its first call.
    start: f64,
}

impl Pairs {
    fn take(
        bench: &mut Bench,
        agents: usize,
        max_concurrency: Option<usize>,
        times: usize,
    ) -> anyhow::Result<Self> {
        let file = bench.crew_file(agents, DELAY, max_concurrency)?;
        let mut pairs = Self::default();
        for _ in 0..times {
            bench.server.seen()?;
            let taken = bench.success(bench.bare(DELAY, agents, 1)?)?;
            let start = bench.server.seen()?.first.since(taken.started);
            pairs.bare.push(Sample { taken, start });
            let taken = bench.success(bench.crew(&file)?)?;
            let start = bench.server.seen()?.first.since(taken.started);
            pairs.crew.push(Sample { taken, start });
        }
        Ok(pairs)
    }

    fn row(&self, name: &str, unit: &'static str, goal: Goal, of: impl Fn(&Sample) -> f64) -> Row {
        let (crew, floor) =
            (self.crew.iter().map(&of).collect(), self.bare.iter().map(&of).collect());
        Row { name: name.to_owned(), unit, crew, floor, beside: "bare client", goal }
    }
}

pub fn calls(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (agents, times, goal) in SIZES {
        let max_concurrency = (agents > CALLS_AT_ONCE).then_some(agents);
        let pairs = Pairs::take(bench, agents, max_concurrency, times)?;
        let noun = if agents == 1 { "agent" } else { "agents" };
        let limit = max_concurrency.map(|calls| format!(", max_concurrency {calls}"));
        let limit = limit.unwrap_or_default();
        let name = |what: &str| format!("{agents} {noun} of {DELAY} ms{limit}: {what}");
        let wall = pairs.row(&name("wall time"), "ms", goal, |sample| sample.taken.wall());
        if agents == 1 {
            let start = |sample: &Sample| sample.start;
            rows.push(pairs.row("start to first call", "ms", Goal::AtMost(10.0), start));
            let floor = vec![DELAY_MS; times];
            let (name, crew) = (wall.name.clone(), wall.crew.clone());
            rows.push(Row { name, crew, floor, beside: "the delay", goal: Goal::None, unit: "ms" });
        }
        rows.push(wall);
        if agents == 1 || agents == 1000 {
            let goal = if agents == 1 { Goal::None } else { Goal::AtMost(40.0) };
            let peak = |sample: &Sample| sample.taken.peak / MIB;
            rows.push(pairs.row(&name("peak memory"), "MiB", goal, peak));
        }
        if agents > 1 {
            let cpu = |sample: &Sample| sample.taken.cpu / agents as f64;
            rows.push(pairs.row(&name("CPU per agent"), "ms", Goal::None, cpu));
        }
    }
    Ok(rows)
}
