//! `crew batch`: throughput, memory, rejected calls, the start of a finished batch, and processor
//! time per input.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crew::batch::key::of_content;
use serde_json::{Value, json};

use crate::bare;
use crate::launch::{Launched, Taken};
use crate::measure::{Bench, DELAY, MIB, text};
use crate::table::{Goal, Row};

/// Calls at once.
const WINDOW: usize = 100;
const INPUTS: u32 = 10_000;
/// A divisor of all numbers of inputs, to try the section out.
const DIVISOR: &str = "CREW_BENCH_DIVISOR";
const SAMPLES: usize = 3;
/// The calls that a small server accepts at once.
const CAPACITY: u32 = 20;
/// Processes of crew at once, one for each input.
const PROCESSES: u32 = 32;
const FINISHED: u32 = 1_000_000;

pub fn measure(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = throughput(bench)?;
    rows.push(growth(bench)?);
    rows.push(rejected(bench)?);
    rows.push(per_process(bench)?);
    rows.extend(finished(bench)?);
    Ok(rows)
}

/// So many inputs, or fewer to try the section out.
fn about(inputs: u32) -> u32 {
    let divisor = std::env::var(DIVISOR).ok().and_then(|divisor| divisor.parse().ok());
    (inputs / divisor.unwrap_or(1).max(1)).max(1)
}

/// A batch of so many inputs of one call in a new folder. Peak memory and time.
fn batch(bench: &Bench, inputs: u32, server: &str, limit: &str) -> anyhow::Result<Taken> {
    let crew = crew_file(bench, server, limit)?;
    let folder = tempfile::tempdir()?;
    let file = bench.write("in.jsonl", &lines(inputs)?)?;
    let jobs = WINDOW.to_string();
    let arguments = [text(&file)?, "-c", text(&crew)?, "--out", text(folder.path())?, "-j", &jobs];
    bench.success(start(bench, &arguments)?)
}

fn throughput(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let limit = format!(", max_concurrency: {WINDOW}");
    let inputs = about(INPUTS);
    let (mut crew, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        let url = bench.server.base_url(DELAY);
        let [parallel, calls] = [WINDOW.to_string(), inputs.to_string()];
        let arguments = [bare::WINDOW_ROLE, &url, &parallel, &calls];
        floor.push(bench.success(bench.this_program(&arguments)?)?);
        crew.push(batch(bench, inputs, DELAY, &limit)?);
    }
    let row = |what: &str, unit, goal, of: &dyn Fn(&Taken) -> f64| Row {
        name: format!("batch of {inputs} calls of {DELAY} ms, {WINDOW} at once: {what}"),
        unit,
        crew: crew.iter().map(of).collect(),
        floor: floor.iter().map(of).collect(),
        beside: "bare client",
        goal,
    };
    Ok(vec![
        // At least 0.9 of its throughput.
        row("wall time", "ms", Goal::Ratio(1.11), &Taken::wall),
        row("CPU per input", "ms", Goal::None, &|taken| taken.cpu / f64::from(inputs)),
        row("peak memory", "MiB", Goal::AtMost(60.0), &|taken| taken.peak / MIB),
    ])
}

fn growth(bench: &mut Bench) -> anyhow::Result<Row> {
    let limit = format!(", max_concurrency: {WINDOW}");
    let peak = |inputs| Ok::<_, anyhow::Error>(batch(bench, inputs, "10", &limit)?.peak / MIB);
    let (few, many) = (peak(about(3_000))?, peak(about(30_000))?);
    let name = format!("batch of {} inputs: peak memory", about(30_000));
    let goal = Goal::Above(3.0);
    Ok(Row {
        name,
        unit: "MiB",
        crew: vec![many],
        floor: vec![few],
        beside: "a tenth of them",
        goal,
    })
}

fn rejected(bench: &mut Bench) -> anyhow::Result<Row> {
    let inputs = about(2_000);
    bench.server.seen()?;
    batch(bench, inputs, &format!("{DELAY}-{CAPACITY}"), "")?;
    let seen = bench.server.seen()?;
    let share = seen.rejected as f64 / seen.calls.max(1) as f64 * 100.0;
    let name = format!("batch of {inputs} calls, {CAPACITY} accepted at once: rejected calls");
    let goal = Goal::AtMost(2.0);
    Ok(Row { name, unit: "%", crew: vec![share], floor: vec![], beside: "", goal })
}

/// Beside a process for each input.
fn per_process(bench: &mut Bench) -> anyhow::Result<Row> {
    let limit = format!(", max_concurrency: {WINDOW}");
    let (few, inputs) = (about(320), about(INPUTS));
    let crew = crew_file(bench, DELAY, "")?;
    let command = format!(
        "seq {few} | xargs -P {PROCESSES} -I@ '{}' run -q -c '{}' -o json 'input @'",
        env!("CARGO_BIN_EXE_crew"),
        text(&crew)?,
    );
    let taken = bench.success(Launched::start(bench.folder(), "sh", &["-c", &command])?)?;
    let each = taken.cpu / f64::from(few);
    let taken = batch(bench, inputs, DELAY, &limit)?;
    let beside = "xargs -P 32 crew run";
    let (crew, goal) = (vec![taken.cpu / f64::from(inputs)], Goal::Ratio(0.1));
    let name = "batch of one call: CPU per input".to_owned();
    Ok(Row { name, unit: "ms", crew, floor: vec![each], beside, goal })
}

/// The same command again after all inputs have succeeded.
fn finished(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let crew = crew_file(bench, "0", "")?;
    let folder = tempfile::tempdir()?;
    let (inputs, out) = (folder.path().join("in.jsonl"), folder.path().join("out"));
    let arguments = [text(&inputs)?, "-c", text(&crew)?, "--out", text(&out)?, "--key", "/id"];
    std::fs::write(&inputs, format!("{}\n", input(0)))?;
    bench.success(start(bench, &arguments)?)?;
    let results = out.join("results.jsonl");
    finish(&inputs, &results)?;
    let mut floor = Vec::new();
    let (mut wall, mut peak) = (Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        floor.push(read(&inputs)? + read(&results)?);
        let taken = bench.success(start(bench, &arguments)?)?;
        wall.push(taken.wall());
        peak.push(taken.peak / MIB);
    }
    let row = |what: &str, unit, crew, floor: Vec<f64>, beside, goal| Row {
        name: format!("batch of {} finished inputs: {what}", about(FINISHED)),
        unit,
        crew,
        floor,
        beside,
        goal,
    };
    Ok(vec![
        row("wall time", "ms", wall, floor, "reading the files", Goal::AtMost(5_000.0)),
        row("peak memory", "MiB", peak, vec![], "", Goal::AtMost(100.0)),
    ])
}

/// Writes the inputs and a line for each, like the one that is there.
fn finish(inputs: &Path, results: &Path) -> anyhow::Result<()> {
    let line = std::fs::read_to_string(results)?;
    let mut line: Value = serde_json::from_str(line.trim())?;
    let mut inputs = BufWriter::new(File::create(inputs)?);
    let mut results = BufWriter::new(File::create(results)?);
    for number in 0..u64::from(about(FINISHED)) {
        let input = input(number);
        writeln!(inputs, "{input}")?;
        line["key"] = format!("t-{number}").into();
        line["index"] = number.into();
        line["content"] = serde_json::to_value(of_content(&input).1)?;
        writeln!(results, "{line}")?;
    }
    inputs.flush()?;
    Ok(results.flush()?)
}

fn input(number: u64) -> Value {
    json!({"id": format!("t-{number}"), "text": "My laptop is slow since the update."})
}

/// Milliseconds.
fn read(path: &Path) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 18];
    while file.read(&mut buffer)? > 0 {}
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn crew_file(bench: &Bench, server: &str, limit: &str) -> anyhow::Result<PathBuf> {
    let url = bench.server.base_url(server);
    let yaml = format!(
        "providers: {{bench: {{api: openai, base_url: '{url}'{limit}}}}}\n\
         agents: {{clerk: {{model: bench/m, role: Clerk, goal: Find out why the machine is slow}}}}\n"
    );
    bench.write("batch.yaml", &yaml)
}

fn start(bench: &Bench, arguments: &[&str]) -> anyhow::Result<Launched> {
    let arguments = [&["batch", "run", "-q"], arguments].concat();
    Launched::start(bench.folder(), env!("CARGO_BIN_EXE_crew"), &arguments)
}

fn lines(inputs: u32) -> anyhow::Result<String> {
    let mut text = String::new();
    for input in 0..inputs {
        writeln!(text, "\"my laptop {input} is slow\"")?;
    }
    Ok(text)
}
